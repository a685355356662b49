// A dashboard's JSON and what Prometheus answered, drawn by Grafana's own functions and components.
// Transformations, field configuration, units, mappings and thresholds are @grafana/data's; stat, table and time series
// are @grafana/ui's. State timeline and heatmap live in Grafana's core, not in its packages: simple ones of ours.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  FieldConfigOptionsRegistry, ThemeContext, applyFieldOverrides, createTheme, dateTime, standardTransformers,
  standardTransformersRegistry, toDataFrame, transformDataFrame,
} from '@grafana/data';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, Table, TimeSeries } from '@grafana/ui';

const { dashboard, answers, from, to } = window.INPUT;
const theme = createTheme({ colors: { mode: 'light' } });
const WIDTH = 1400, CELL = 30, GAP = 8;
const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-1h', to: 'now' } };

standardTransformersRegistry.setInit(() => [
  standardTransformers.organizeFieldsTransformer, standardTransformers.joinByFieldTransformer,
  standardTransformers.groupingToMatrixTransformer, standardTransformers.filterFieldsByNameTransformer,
  standardTransformers.orderFieldsTransformer, standardTransformers.renameFieldsTransformer,
].map((each) => ({ id: each.id, name: each.name, transformation: each, editor: () => null })));

const option = (path, isCustom = false) => ({
  id: isCustom ? `custom.${path}` : path, path, name: path, isCustom, process: (value) => value, shouldApply: () => true,
  override: () => null, editor: () => null, getItemsCount: () => 0,
});
const registry = new FieldConfigOptionsRegistry(() => [
  ...['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'mappings', 'thresholds', 'color', 'links'].map((each) => option(each)),
  ...['cellOptions', 'width', 'stacking', 'fillOpacity', 'thresholdsStyle'].map((each) => option(each, true)),
]);

const LINE = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', spanNulls: 10_000,
  showPoints: 'never', pointSize: 5, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto', axisLabel: '',
  scaleDistribution: { type: 'linear' }, hideFrom: { tooltip: false, viz: false, legend: false }, thresholdsStyle: { mode: 'off' },
};

const named = (legend, metric) =>
  legend && legend !== '__auto' ? legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => metric[name] ?? '') : JSON.stringify(metric);

// One frame for each series; for tables one for each query, its labels as columns.
function frames(panel) {
  return panel.targets.flatMap((target) => {
    const series = answers[panel.id]?.[target.refId] ?? [];
    if (target.format === 'table') {
      const labels = [...new Set(series.flatMap((each) => Object.keys(each.metric)))].sort();
      const value = panel.targets.length > 1 ? `Value #${target.refId}` : 'Value';
      if (!series.length) return [];
      return [toDataFrame({ refId: target.refId, fields: [
        { name: 'Time', type: 'time', values: series.map((each) => each.values.at(-1)[0] * 1000), config: {} },
        ...labels.map((name) => ({ name, type: 'string', values: series.map((each) => each.metric[name] ?? ''), config: {} })),
        { name: value, type: 'number', values: series.map((each) => Number(each.values.at(-1)[1])), config: {} },
      ] })];
    }
    return series.map((each) => toDataFrame({ refId: target.refId, fields: [
      { name: 'Time', type: 'time', values: each.values.map(([at]) => at * 1000), config: {} },
      { name: 'Value', type: 'number', labels: each.metric, values: each.values.map(([, value]) => Number(value)),
        config: { displayNameFromDS: named(target.legendFormat, each.metric) } },
    ] }));
  });
}

function changed(panel, found) {
  let result = found;
  transformDataFrame(panel.transformations ?? [], found, { interpolate: (text) => text }).subscribe((next) => { result = next; });
  return result;
}

function configured(panel, found) {
  const custom = panel.type === 'timeseries' ? { ...LINE, ...panel.fieldConfig.defaults.custom } : panel.fieldConfig.defaults.custom;
  const defaults = { color: { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' }, ...panel.fieldConfig.defaults, custom };
  const fieldConfig = { defaults, overrides: panel.fieldConfig.overrides ?? [] };
  const made = applyFieldOverrides({ data: found, fieldConfig, fieldConfigRegistry: registry, theme, replaceVariables: (text) => text, timeZone: 'utc' });
  for (const frame of made) for (const field of frame.fields) field.config.custom = { ...custom, ...field.config.custom };
  return made;
}

const label = (frame) => frame.fields[1].config.displayNameFromDS ?? frame.fields[1].name;

function Stat({ panel, data, width, height }) {
  const rows = data.length > 6 ? 2 : 1, each = Math.floor(width / Math.ceil(data.length / rows)) - 4;
  return <div style={{ display: 'flex', flexWrap: 'wrap', gap: 4 }}>{data.map((frame, index) => {
    const field = frame.fields[1];
    const value = { ...field.display(field.values.at(-1)), title: label(frame) };
    return <BigValue key={index} theme={theme} value={value} width={each} height={Math.floor(height / rows) - 4} colorMode={BigValueColorMode.BackgroundSolid ?? BigValueColorMode.Background} graphMode={BigValueGraphMode.None} textMode={BigValueTextMode.ValueAndName} />;
  })}</div>;
}

function StateTimeline({ data, width, height }) {
  const wide = 210, row = Math.min(24, height / data.length), span = to - from;
  return <svg width={width} height={height} fontSize={11} fontFamily="Inter, sans-serif">{data.map((frame, index) => {
    const [time, field] = frame.fields, bars = [];
    time.values.forEach((at, number) => {
      const left = wide + (width - wide) * (at / 1000 - from) / span, end = number + 1 < time.values.length ? time.values[number + 1] / 1000 : to;
      bars.push(<rect key={number} x={left} y={index * row + 1} height={row - 2} width={(width - wide) * Math.min(end - at / 1000, 3) / span + 0.5} fill={field.display(field.values[number]).color} />);
    });
    return <g key={index}><text x={wide - 6} y={index * row + row * 0.7} textAnchor="end">{label(frame)}</text>{bars}</g>;
  })}</svg>;
}

const CIVIDIS = ['#00204d', '#31446b', '#666970', '#958f78', '#cbba69', '#ffea46'];
function Heat({ data, width, height }) {
  const sorted = [...data].sort((one, other) => Number(label(one).replace('+Inf', 'Infinity')) - Number(label(other).replace('+Inf', 'Infinity')));
  const row = height / sorted.length, at = (frame, index) => frame?.fields[1].values[index] || 0, span = to - from;
  const most = Math.max(1e-9, ...sorted.flatMap((frame, n) => frame.fields[1].values.map((_, index) => at(frame, index) - at(sorted[n - 1], index))));
  return <svg width={width} height={height} fontSize={10} fontFamily="Inter, sans-serif">{sorted.map((frame, n) => <g key={n}>
    <text x={38} y={height - n * row - row * 0.3} textAnchor="end">{label(frame)}</text>
    {frame.fields[0].values.map((time, index) => {
      const value = Math.max(0, at(frame, index) - at(sorted[n - 1], index)) / most;
      return value > 0.01 && <rect key={index} x={44 + (width - 44) * (time / 1000 - from) / span} y={height - (n + 1) * row} width={(width - 44) * 2 / span} height={row} fill={CIVIDIS[Math.round(value * 5)]} />;
    })}</g>)}</svg>;
}

function Content({ panel, width, height }) {
  const data = configured(panel, changed(panel, frames(panel)));
  if (!data.length || !data[0].length) return <div style={{ padding: 20, textAlign: 'center', color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  if (panel.type === 'stat') return <Stat {...{ panel, data, width, height }} />;
  if (panel.type === 'state-timeline') return <StateTimeline {...{ data, width, height }} />;
  if (panel.type === 'heatmap') return <Heat {...{ data, width, height }} />;
  if (panel.type === 'table') return <Table data={data[0]} width={width} height={height} />;
  return <TimeSeries frames={data} width={width} height={height} timeRange={range} timeZone="utc" legend={panel.options.legend} />;
}

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  componentDidCatch(error) { window.FAILED = (window.FAILED ?? []).concat(`${this.props.title}: ${error}`); document.title = 'FAILED ' + window.FAILED.join('; '); }
  render() { return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children; }
}

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos, unit = WIDTH / 24;
  const place = { position: 'absolute', left: x * unit + GAP / 2, top: y * (CELL + GAP) + 50, width: w * unit - GAP, height: h * (CELL + GAP) - GAP };
  if (panel.type === 'row') return <div style={{ ...place, fontSize: 16, fontWeight: 500 }}>{panel.title}</div>;
  const frame = { ...place, background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, borderRadius: 2, padding: 8, overflow: 'hidden', boxSizing: 'border-box' };
  return <div style={frame}><div style={{ fontWeight: 500, fontSize: 14, marginBottom: 6 }}>{panel.title}</div>
    <Guard title={panel.title}><Content panel={panel} width={place.width - 18} height={place.height - 44} /></Guard></div>;
}

const panels = dashboard.panels;
const high = Math.max(...panels.map((panel) => panel.gridPos.y + panel.gridPos.h)) * (CELL + GAP) + 60;
document.body.style.cssText = `margin:0;width:${WIDTH}px;height:${high}px;background:${theme.colors.background.canvas};font-family:Inter,Helvetica,Arial,sans-serif;font-size:14px;color:${theme.colors.text.primary}`;
createRoot(document.getElementById('root')).render(<ThemeContext.Provider value={theme}><div style={{ position: 'relative', padding: 8 }}>
  <div style={{ fontSize: 20, fontWeight: 500, padding: 8 }}>{dashboard.title}</div>{panels.map((panel) => <Panel key={panel.id} panel={panel} />)}</div></ThemeContext.Provider>);
