"""`driftgate.publish`: publishing, and with a profile of the reference."""

from functools import partial, update_wrapper

from driftgate.gateway.serving.reference_profile import reference_profile
from driftgate.models.publish import publish as publish_without_profile

publish = partial(publish_without_profile, profiler=reference_profile)
update_wrapper(publish, publish_without_profile)
