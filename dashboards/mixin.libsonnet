// The dashboards and rules as a monitoring mixin; both are made elsewhere (make dashboards, make alerts).
//   local outlook = import 'dashboards/mixin.libsonnet';
// Prometheus' rules: std.manifestYamlDoc(outlook.prometheusAlerts)
{
  grafanaDashboards+:: {
    'outlook-overview.json': import 'json/outlook-overview.json',
    'outlook-gateway.json': import 'json/outlook-gateway.json',
    'outlook-clients.json': import 'json/outlook-clients.json',
    'outlook-latency.json': import 'json/outlook-latency.json',
    'outlook-fleet.json': import 'json/outlook-fleet.json',
    'outlook-exporter.json': import 'json/outlook-exporter.json',
  },
  // rules.yml has recording rules and alerts in its groups.
  prometheusAlerts+:: std.parseYaml(importstr '../alerts/rules.yml'),
}
