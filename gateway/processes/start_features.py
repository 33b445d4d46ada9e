"""What is checked of a feature store that is far away when a gateway starts."""

from driftgate.features.errors import StoreUnavailable
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.redis_address import redis_address, redis_module
from driftgate.gateway.settings import FeatureSettings

ANSWER_S = 1.0


def check_features(settings: FeatureSettings, logger: Logger) -> None:
    """Log what server answers. That none does keeps no gateway from starting: answers go on without it.

    Raises InvalidConfiguration for settings that are wrong, CannotStart for a server that can never do.
    """
    if settings.store != "redis":
        return
    connection = redis_module("client").FillingConnection(redis_address(settings), ANSWER_S)
    try:
        greeting = connection.greeting()
    except StoreUnavailable as error:
        logger.warning("feature_store_unreachable", reason=str(error))
        return
    finally:
        connection.close()
    if greeting.refusal:
        raise CannotStart(f"features.redis_url: {greeting.refusal}")
    logger.info("feature_store", server=greeting.server, version=greeting.version)
