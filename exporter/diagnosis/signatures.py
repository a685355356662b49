"""Is a presented chain Microsoft's? What a probe says of it, also one recorded by the contract's fields alone."""

from exporter.observations import Probe
from exporter.vocabulary import Outcome

#: Issuers of inspecting products, as text of their O or CN holds it, in lower case (facts 6.3); administrators' own CAs
#: have no fixed name. Names prove nothing about who is genuine, but nobody calls himself a product for nothing.
INSPECTION_PRODUCTS = {
    "zscaler": "Zscaler", "fortinet": "FortiGate", "fortigate": "FortiGate", "cisco umbrella": "Cisco Umbrella",
    "goskope": "Netskope", "netskope": "Netskope", "gateway ca - cloudflare": "Cloudflare Gateway",
    "sophos": "Sophos", "sonicwall": "SonicWall", "watchguard": "WatchGuard", "kaspersky": "Kaspersky",
    "eset ssl filter": "ESET", "avast": "Avast", "avg web/mail": "AVG", "norton web/mail": "Norton",
    "bitdefender": "Bitdefender", "mitmproxy": "mitmproxy", "fiddlerroot": "Fiddler", "charles proxy": "Charles",
    "xk72": "Charles", "portswigger": "Burp", "proxyman": "Proxyman", "http toolkit": "HTTP Toolkit",
    "palo alto": "Palo Alto", "paloalto": "Palo Alto", "check point": "Check Point", "blue coat": "Blue Coat",
    "bluecoat": "Blue Coat", "symantec web": "Symantec", "forcepoint": "Forcepoint", "websense": "Forcepoint",
    "mcafee web gateway": "McAfee Web Gateway", "skyhigh": "Skyhigh", "squid": "Squid", "pfsense": "pfSense",
    "opnsense": "OPNsense", "untangle": "Untangle", "barracuda": "Barracuda", "iboss": "iboss",
    "lightspeed": "Lightspeed", "securly": "Securly", "adguard": "AdGuard", "dr.web": "Dr.Web", "ironport": "IronPort",
}  # fmt: skip


def signatures(probe: Probe) -> bool | None:
    """Whether the chain's signatures lead to a root of Microsoft's, dates and name aside. None where that isn't known.

    `signatures_genuine` where it was recorded; else what `genuine`, which counts name and dates too, still tells.
    """
    tls = probe.tls
    if tls is None or tls.signatures_genuine is not None:
        return tls.signatures_genuine if tls is not None else None
    if tls.genuine is True:
        return True
    failed_otherwise = probe.outcome in (
        Outcome.CERTIFICATE_EXPIRED,
        Outcome.CERTIFICATE_NOT_YET_VALID,
        Outcome.CERTIFICATE_NAME_MISMATCH,
        Outcome.CERTIFICATE_CHAIN_INCOMPLETE,
    )
    return False if tls.genuine is False and not failed_otherwise else None


def issuer_of(probe: Probe) -> str:
    """Who claims to have issued the certificate."""
    tls = probe.tls
    if tls is None:
        return ""
    names = (tls.issuer_organization, tls.issuer_common_name)
    return ", ".join(dict.fromkeys(filter(None, names))) or (tls.chain[0].issuer if tls.chain else "")


def inspection_product(probe: Probe) -> str | None:
    """The inspecting product whose name the issuer bears, or None."""
    tls = probe.tls
    names = [issuer_of(probe), *(certificate.issuer for certificate in tls.chain)] if tls is not None else []
    text = " ".join(names).lower()
    return next((product for part, product in INSPECTION_PRODUCTS.items() if part in text), None)
