"""For each alert the series that make it fire, from minute 0 to HALF, and those that let it end; promtool's notation."""

from dataclasses import dataclass

#: Minutes of fault, then as many of health.
HALF = 150
AT = 'instance="gw"'
WAY = f'{AT},target="imap",vantage="clients"'
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Case:
    """Series with their values in fault and in health; the minute of the fault at which the alert is looked for."""

    series: tuple[tuple[str, str, str], ...]  # series, value in fault, value in health
    labels: dict[str, str]
    at: int = 140


def _of(series: str, bad: str, good: str, **labels: str) -> Case:
    return Case(((series, bad, good),), labels)


TARGET = {"instance": "gw", "target": "imap", "vantage": "clients"}

CASES: dict[str, Case] = {
    "OutlookAuthMethodFailing": _of(f'outlook_auth_method_usable{{{WAY},mechanism="token"}}', "0", "1", **TARGET),
    "OutlookGatewayFiltering": _of(
        f'outlook_diagnosis{{{WAY},account="",cause="sni_reset",responsible="gateway"}}', "0.93", "stale", **TARGET
    ),
    "OutlookTlsIntercepted": _of(f"outlook_probe_tls_intercepted{{{WAY}}}", "1", "0", **TARGET),
    "OutlookStarttlsStripped": _of(
        f'outlook_probe_outcome{{{WAY},phase="starttls",outcome="not_offered"}}', "1", "stale", **TARGET
    ),
    "OutlookMechanismStripped": _of(f'outlook_probe_auth_offered{{{WAY},mechanism="XOAUTH2"}}', "0", "1", **TARGET),
    "OutlookServiceOutage": Case(
        (
            (f'outlook_probe_outcome{{{WAY},phase="greeting",outcome="unavailable"}}', "1", "stale"),
            (
                'outlook_probe_outcome{instance="gw",target="imap",vantage="wan",phase="greeting",outcome="unavailable"}',
                "1",
                "stale",
            ),
        ),
        {"target": "imap"},
    ),
    "OutlookTokenRefused": _of(
        f'outlook_account_auth_success{{{WAY},account="box",mechanism="token"}}', "0", "1", account="box", **TARGET
    ),
    "OutlookTokenRefreshFailing": Case(
        (
            (
                f'outlook_token_requests_total{{{AT},account="box",vantage="wan",grant="refresh_token",outcome="rejected"}}',
                "+1",
                "+0",
            ),
            (f'outlook_token_last_success_timestamp_seconds{{{AT},account="box"}}', "0", "+60"),
        ),
        {"instance": "gw", "account": "box"},
    ),
    "OutlookCredentialExpiresSoon": _of(
        'outlook_account_credential_expiry_timestamp_seconds{instance="gw",account="box"}',
        str(10 * DAY),
        str(90 * DAY),
        instance="gw",
        account="box",
    ),
    "OutlookCredentialExpiring": _of(
        'outlook_account_credential_expiry_timestamp_seconds{instance="gw",account="box"}',
        str(DAY),
        str(90 * DAY),
        instance="gw",
        account="box",
    ),
    "OutlookCanaryUnrecognized": _of(
        f'outlook_probe_outcome{{{WAY},phase="auth",outcome="unrecognized"}}', "1", "stale", phase="auth", **TARGET
    ),
    "OutlookClockSkew": _of('outlook_clock_skew_seconds{instance="gw",source="median"}', "-600", "0", instance="gw"),
    "OutlookCertificateExpiring": _of(
        f"outlook_probe_certificate_expiry_timestamp_seconds{{{WAY}}}", str(3 * DAY), str(90 * DAY), **TARGET
    ),
    "OutlookClientsRetrying": _of(
        'outlook_wire_clients{instance="gw",target="imap",state="retry_loop"}', "3", "0", instance="gw", target="imap"
    ),
    "OutlookClientsOnPasswords": _of(
        'outlook_wire_clients{instance="gw",target="imap",state="password_refused"}',
        "2",
        "0",
        instance="gw",
        target="imap",
    ),
    "OutlookExporterDown": _of('up{job="outlook_auth",instance="gw"}', "0", "1", job="outlook_auth", instance="gw"),
    "OutlookInspectorDown": _of('outlook_exporter_inspector_up{instance="gw"}', "0", "1", instance="gw"),
    "OutlookClientSideNotCovered": _of('outlook_exporter_client_side_covered{instance="gw"}', "0", "1", instance="gw"),
    "OutlookPacketsDropped": _of(
        'outlook_wire_packets_dropped_total{instance="gw",interface="eth1"}',
        "+600",
        "+0",
        instance="gw",
        interface="eth1",
    ),
    "OutlookConfigReloadFailed": _of(
        'outlook_exporter_config_last_reload_successful{instance="gw"}', "0", "1", instance="gw"
    ),
    "OutlookProbesLate": _of(f"outlook_probe_last_run_timestamp_seconds{{{WAY}}}", "0", "+60", **TARGET),
}
