"""Errors of the hall, and the one table that turns every error into an HTTP status.

GatewayError
├── BadRequest          400
├── Unauthorized        401   no token, or none that is known
├── Forbidden           403
├── NotFound            404
├── MethodNotAllowed    405
├── Conflict            409
├── PreconditionFailed  412
├── PreconditionRequired 428  the change has to name the state that it was made for
├── TooLarge            413
├── UnsupportedContent  415
├── NonfiniteAnswer     422   the model computed NaN or an infinity, and its settings refuse to send one
├── FeaturesMissing     422   stored features that the model cannot do without are missing or too old
├── QuotaExceeded       429   with Retry-After, as Overloaded, of which it is a kind
├── NotServable         503   a known model without a version that can answer now
├── FeaturesUnreachable 503   such features could not be looked up in time
├── Overloaded          503   with Retry-After
├── StateUnusable       503   the gateway's own files, for operators
└── DeadlineExceeded    504
"""

from driftgate.features.errors import (
    InvalidKey,
    InvalidRows,
    InvalidView,
    SnapshotUnknown,
    StoreBusy,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    TooManyRows,
)
from driftgate.models.errors import (
    InvalidInput,
    InvalidManifest,
    InvalidName,
    InvalidSettings,
    LoadError,
    RegistryError,
    RegistryFull,
    RegistryUnavailable,
    RunError,
    TooManyUploads,
    UnsafeFile,
    UploadBusy,
    UploadConflict,
    UploadTooLarge,
    UploadUnknown,
    VersionExists,
    VersionUnknown,
)


class GatewayError(Exception):
    """Base of the hall's errors; the text is fixed wording plus names that the client itself sent."""


class BadRequest(GatewayError):
    """The request is not what the protocol or the model's signature asks for."""


class Unauthorized(GatewayError):
    """Whoever asks has to say who they are, with a token that is known here."""


class Forbidden(GatewayError):
    """The operation is not allowed here; the text says where it is."""


class NotFound(GatewayError):
    """No such model, version, label or path."""


class MethodNotAllowed(GatewayError):
    """The path exists, with another method."""


class Conflict(GatewayError):
    """The change contradicts the present state."""


class PreconditionFailed(GatewayError):
    """The state is no longer the one that the request was made for; read it and decide again."""


class PreconditionRequired(GatewayError):
    """A change that must say which state it was made for, and does not."""


class TooLarge(GatewayError):
    """Body, rows or values beyond a limit; the text names the limit."""


class UnsupportedContent(GatewayError):
    """A content type or encoding that is not spoken here."""


class NonfiniteAnswer(GatewayError):
    """The model computed a number that JSON cannot say; the text names output and index."""


class FeaturesMissing(GatewayError):
    """Features are missing without which nothing is predicted; the text names them and the keys' rows."""


class FeaturesUnreachable(GatewayError):
    """As FeaturesMissing, because the feature store did not answer in time."""


class NotServable(GatewayError):
    """The model exists and no version of it can answer now."""


class Overloaded(GatewayError):
    """Refused to protect the others; safe to retry after `retry_after_s`."""

    def __init__(self, text: str, reason: str, retry_after_s: int = 1) -> None:
        super().__init__(text)
        self.reason = reason
        self.retry_after_s = retry_after_s


class QuotaExceeded(Overloaded):
    """The caller has used up what its token may ask for; others are not affected."""


class StateUnusable(GatewayError):
    """The state directory cannot be read or written, its disk is full for example; nothing was changed."""


class DeadlineExceeded(GatewayError):
    """The request's deadline passed before an answer was computed."""


STATUS_OF: dict[type[Exception], int] = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    PreconditionFailed: 412,
    TooLarge: 413,
    UnsupportedContent: 415,
    NonfiniteAnswer: 422,
    FeaturesMissing: 422,
    PreconditionRequired: 428,
    QuotaExceeded: 429,
    FeaturesUnreachable: 503,
    NotServable: 503,
    Overloaded: 503,
    StateUnusable: 503,
    DeadlineExceeded: 504,
    InvalidInput: 400,
    InvalidName: 404,
    InvalidManifest: 400,
    InvalidSettings: 400,
    VersionExists: 409,
    VersionUnknown: 404,
    UnsafeFile: 422,
    UploadUnknown: 404,
    UploadConflict: 409,
    UploadBusy: 423,
    UploadTooLarge: 413,
    TooManyUploads: 429,
    RegistryFull: 507,
    RegistryError: 503,
    RegistryUnavailable: 503,
    LoadError: 503,
    RunError: 422,
    InvalidView: 400,
    InvalidKey: 400,
    InvalidRows: 400,
    TooManyRows: 413,
    SnapshotUnknown: 404,
    StoreBusy: 409,
    StoreUnavailable: 503,
    StoreDamaged: 503,
    StoreFull: 507,
}


def status_of(error: Exception) -> int:
    """Return the HTTP status for `error`: the table's entry for its class, else 500."""
    return STATUS_OF.get(type(error), 500)
