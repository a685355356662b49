// The dashboards and rules as a monitoring mixin. Both are made elsewhere: make alerts, then make dashboards.
//   (import 'dashboards/mixin.libsonnet').grafanaDashboards, .prometheusAlerts, .prometheusRules
local rules = import 'rules.json';
local recording(group) = std.objectHas(group.rules[0], 'record');

{
  grafanaDashboards+:: {
    'outlook-overview.json': import 'json/outlook-overview.json',
    'outlook-gateway.json': import 'json/outlook-gateway.json',
    'outlook-clients.json': import 'json/outlook-clients.json',
    'outlook-latency.json': import 'json/outlook-latency.json',
    'outlook-fleet.json': import 'json/outlook-fleet.json',
    'outlook-exporter.json': import 'json/outlook-exporter.json',
  },
  prometheusAlerts+:: { groups: [group for group in rules.groups if !recording(group)] },
  prometheusRules+:: { groups: [group for group in rules.groups if recording(group)] },
}
