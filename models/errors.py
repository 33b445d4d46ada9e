"""What can go wrong with a model version.

ModelError
├── InvalidName           a model name or version number that cannot be one
├── InvalidManifest       manifest.json, or a file that feeds it, is not what it must be
├── InvalidSettings       model.toml: unknown key, wrong type; names the line
├── InvalidInput          a value that the model's signature or columns do not allow
├── RegistryError
│   ├── RegistryUnavailable   the directory cannot be read at all
│   ├── VersionExists         the number is taken by other content
│   ├── UnsafeFile            a link, device, FIFO, or a file that is not what the manifest says
│   ├── VersionUnknown        a version that is not in the registry
│   ├── RegistryFull          no room for what is to be written
│   ├── UploadUnknown         an upload that was finished, given up, or never begun
│   ├── UploadConflict        an upload that is not where the client thinks it is
│   ├── UploadBusy            an upload that another client is busy with
│   ├── UploadTooLarge        a version, file or part beyond its limit
│   ├── TooManyUploads        as many are open as may be
│   ├── ServerRefused         a gateway did not take, or give, a version; `status` is its HTTP status
│   └── ServerUnreachable     no answer from a gateway
├── ConversionError       an estimator that cannot become ONNX, or does not agree with it
├── LoadError             a version that cannot be loaded or fails its probation
└── RunError              onnxruntime refused these inputs at run time
"""


class ModelError(Exception):
    """Base of all errors of this room; its text can be shown to a person as it is."""


class InvalidName(ModelError):
    """A model name or version that is not allowed."""


class InvalidManifest(ModelError):
    """A manifest, or a columns or task file, that is malformed; the text names the field."""


class InvalidSettings(ModelError):
    """A `model.toml` that is malformed; the text names the file and the line."""


class InvalidInput(ModelError):
    """A request value that does not fit; the text names input, column and index."""


class RegistryError(ModelError):
    """Base of what goes wrong between us and the registry directory."""


class RegistryUnavailable(RegistryError):
    """The registry as a whole cannot be read; nothing is to be unloaded because of it."""


class VersionExists(RegistryError):
    """The version number already belongs to other content."""


class UnsafeFile(RegistryError):
    """A file that must not be opened, or whose content is not what the manifest promises."""


class VersionUnknown(RegistryError):
    """No such version, or no such file of it, is published."""


class RegistryFull(RegistryError):
    """The disk of the registry has no room for the version."""


class UploadUnknown(RegistryError):
    """No such upload is open; beginning it again tells what is still missing."""


class UploadConflict(RegistryError):
    """The upload is in use, or elsewhere than the client thinks; beginning it again tells where."""


class UploadBusy(RegistryError):
    """Another request has this upload; it may be tried again in a moment."""


class UploadTooLarge(RegistryError):
    """More than the settings, or the version's own manifest, allow; the text names the limit."""


class TooManyUploads(RegistryError):
    """As many uploads are open as may be; one may be begun when another has ended."""


class ServerRefused(RegistryError):
    """What a gateway answered instead of doing it; `status` is the HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class ServerUnreachable(RegistryError):
    """No gateway answered, or none any more."""


class ConversionError(ModelError):
    """An estimator that has no faithful ONNX form; the text names the step and its alternatives."""


class LoadError(ModelError):
    """A version that cannot be loaded, warmed or trusted."""


class RunError(ModelError):
    """The runtime refused to compute these inputs; the session stays usable."""
