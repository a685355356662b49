"""Whose TLS stack a ClientHello is, by its structure."""

from exporter.protocols.client_offer import Offer
from exporter.vocabulary import ClientFamily


def family_of(offer: Offer) -> ClientFamily:
    """UNKNOWN where no description fits, or more than one."""
    return ClientFamily.UNKNOWN
