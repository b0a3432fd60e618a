// Draws a dashboard with Grafana's own libraries, from its JSON and the answers to its queries. Frames, transformations,
// overrides, units, thresholds and mappings are @grafana/data's, panels @grafana/ui's. Grafana's panel of timelines is not in
// these libraries, nor is the page around the panels: those two are drawn here, after Grafana's.
import { createRoot } from 'react-dom/client';
import {
  FieldType, ThemeContext, FieldConfigOptionsRegistry, applyFieldOverrides, cacheFieldDisplayNames, createTheme, dataLinksOverrideProcessor,
  dateTime, displayNameOverrideProcessor, getFieldDisplayName, getFieldDisplayValues, identityOverrideProcessor, locationUtil,
  numberOverrideProcessor, standardTransformers, standardTransformersRegistry, stringOverrideProcessor,
  thresholdsOverrideProcessor, toDataFrame, transformDataFrame, unitOverrideProcessor, valueMappingsOverrideProcessor,
} from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, TimeSeries, VizLegend } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

const COLUMNS = 24, ROW = 30, MARGIN = 8; // of Grafana's grid, in pixels

// Some are exported by two names.
standardTransformersRegistry.setInit(() => [...new Set(Object.values(standardTransformers))].map((t) => ({ ...t, transformation: t })));
locationUtil.initialize({ config: { appSubUrl: '' }, getVariablesUrlParams: () => ({}), getTimeRangeForUrl: () => ({}) });

const option = (id, process) => ({ id, path: id.replace(/^custom\./, ''), isCustom: id.startsWith('custom.'), name: id, process, shouldApply: () => true, settings: {} });

// options are those of fields that Grafana has for every panel, and what the panel has of its own.
function options({ defaults, overrides }) {
  const own = new Set([...Object.keys(defaults.custom ?? {}).map((key) => 'custom.' + key),
    ...overrides.flatMap((o) => o.properties.map((p) => p.id)).filter((id) => id.startsWith('custom.'))]);
  return new FieldConfigOptionsRegistry(() => [
    ...[...own, 'color', 'filterable'].map((id) => option(id, identityOverrideProcessor)),
    ...['min', 'max', 'decimals'].map((id) => option(id, numberOverrideProcessor)),
    option('displayName', displayNameOverrideProcessor), option('unit', unitOverrideProcessor), option('noValue', stringOverrideProcessor),
    option('mappings', valueMappingsOverrideProcessor), option('thresholds', thresholdsOverrideProcessor), option('links', dataLinksOverrideProcessor),
  ]);
}

// frames are the answers to a panel's targets, as Grafana's data source makes them of Prometheus'.
function frames(panel, answers, step) {
  return panel.targets.flatMap((target) => {
    const series = answers[target.refId] ?? [];
    const value = panel.targets.length > 1 ? `Value #${target.refId}` : 'Value';
    if (target.format === 'table') {
      const labels = [...new Set(series.flatMap((s) => Object.keys(s.labels)))].sort();
      return [toDataFrame({ refId: target.refId, fields: [
        { name: 'Time', type: FieldType.time, values: series.map((s) => s.points[0][0]) },
        ...labels.map((label) => ({ name: label, type: FieldType.string, config: { filterable: true }, values: series.map((s) => s.labels[label] ?? '') })),
        { name: value, type: FieldType.number, values: series.map((s) => s.points[0][1]) },
      ] })];
    }
    return series.map((s) => toDataFrame({ refId: target.refId, fields: [
      { name: 'Time', type: FieldType.time, config: { interval: step }, values: s.points.map((p) => p[0]) },
      { name: 'Value', type: FieldType.number, labels: s.labels, config: { displayNameFromDS: name(target, s.labels) }, values: s.points.map((p) => p[1]) },
    ] }));
  });
}

const name = (target, labels) => target.legendFormat ? target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '') : undefined;

// Tables hide a column by another option than the one they are written with, which Grafana's panel knows to migrate.
const migrated = (config) => ({ ...config, overrides: config.overrides.map((o) => ({ ...o, properties: o.properties.map((p) =>
  p.id === 'custom.hidden' ? { id: 'custom.hideFrom', value: { viz: p.value, legend: false, tooltip: false } } : p) })) });

const transformed = (panel, data) => new Promise((done, failed) =>
  transformDataFrame(panel.transformations ?? [], data, { interpolate: (v) => v }).subscribe({ next: done, error: failed }));

function Panel({ panel, data, view, theme, x, y }) {
  const width = (view.width + MARGIN) / COLUMNS, size = { w: panel.gridPos.w * width - MARGIN, h: panel.gridPos.h * (ROW + MARGIN) - MARGIN };
  const place = { position: 'absolute', left: x * width, top: y * (ROW + MARGIN) };
  if (panel.type === 'row') {
    return <div style={{ ...place, width: size.w, height: ROW, lineHeight: ROW + 'px', fontSize: theme.typography.h5.fontSize, fontWeight: 500, color: theme.colors.text.primary }}>⌄&ensp;{panel.title}</div>;
  }
  const draw = { stat: Stat, timeseries: Lines, table: Table, 'state-timeline': Timeline }[panel.type];
  const empty = !data.some((frame) => frame.length > 0 && frame.fields.length > 0);
  return <div style={place} data-panel={panel.title}>
    <PanelChrome width={size.w} height={size.h} title={panel.title} description={panel.description} padding={panel.type === 'stat' ? 'none' : 'md'}>
      {(w, h) => empty ? <div data-empty={panel.title} style={{ height: h, display: 'grid', placeItems: 'center', color: theme.colors.text.secondary }}>No data</div> : draw({ panel, data, view, theme, w, h })}
    </PanelChrome>
  </div>;
}

function Stat({ panel, data, view, theme, w, h }) {
  const o = panel.options;
  const values = getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions: o.reduceOptions, replaceVariables: (v) => v, theme, data, timeZone: view.timeZone });
  return <BigValue width={w} height={h} value={values[0].display} colorMode={o.colorMode} graphMode={o.graphMode} justifyMode={o.justifyMode} textMode={o.textMode} count={1} theme={theme} />;
}

function Table({ panel, data, w, h }) {
  return <TableNG width={w} height={h} data={data[0]} cellHeight={panel.options.cellHeight} initialSortBy={panel.options.sortBy} noHeader={!panel.options.showHeader} disableKeyboardEvents enableVirtualization={false} />;
}

// marks draws the annotations over a panel, and its exemplars, as Grafana does.
function marks(panel, view, theme) {
  return (u) => {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height + 8 * ratio);
    ctx.clip();
    for (const mark of view.marks) {
      ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName(mark.color);
      ctx.lineWidth = ratio;
      ctx.setLineDash([4 * ratio, 4 * ratio]);
      for (const [begin, end] of mark.times) {
        const from = Math.round(u.valToPos(begin, 'x', true)) + 0.5, to = Math.round(u.valToPos(end, 'x', true)) + 0.5, foot = bbox.top + bbox.height;
        for (const at of new Set([from, to])) { ctx.beginPath(); ctx.moveTo(at, bbox.top); ctx.lineTo(at, foot); ctx.stroke(); }
        ctx.globalAlpha = 0.1; ctx.fillRect(from, bbox.top, to - from, bbox.height); ctx.globalAlpha = 1;
        ctx.beginPath(); ctx.moveTo(from, foot); ctx.lineTo(from - 5 * ratio, foot + 6 * ratio); ctx.lineTo(to + 5 * ratio, foot + 6 * ratio); ctx.lineTo(to, foot); ctx.fill();
      }
    }
    ctx.setLineDash([]);
    ctx.fillStyle = theme.colors.text.primary;
    for (const [time, value] of view.exemplars[panel.id] ?? []) {
      const at = u.valToPos(time, 'x', true), y = Math.max(u.valToPos(value, u.series[1].scale, true), bbox.top + 5 * ratio), d = 4 * ratio;
      ctx.beginPath(); ctx.moveTo(at - d, y); ctx.lineTo(at, y - d); ctx.lineTo(at + d, y); ctx.lineTo(at, y + d); ctx.fill();
    }
    ctx.restore();
  };
}

function Lines({ panel, data, view, theme, w, h }) {
  let hooked;
  return <TimeSeries width={w} height={h} frames={data} timeRange={view.range} timeZone={view.timeZone} legend={panel.options.legend} options={panel.options}>
    {(builder) => {
      if (hooked !== builder) (hooked = builder).addHook('draw', marks(panel, view, theme));
      return null;
    }}
  </TimeSeries>;
}

// Timeline is Grafana's panel of states: a row for each series, in which equal values that follow each other are one block.
function Timeline({ panel, data, view, theme, w, h }) {
  const text = theme.colors.text.secondary, gap = Math.max(view.step * 2.5, 5000), font = 12;
  const rows = data.map((frame) => {
    const [time, value] = frame.fields, blocks = [];
    time.values.forEach((at, i) => {
      const last = blocks.at(-1), v = value.values[i];
      if (last && last.value === v && at - last.end <= gap) last.end = at;
      else { if (last && at - last.end <= gap) last.end = at; blocks.push({ value: v, begin: at, end: at, shown: value.display(v) }); }
    });
    return { label: getFieldDisplayName(value, frame, data), blocks };
  });
  const left = Math.min(Math.max(...rows.map((r) => r.label.length)) * 6.4 + 10, w * 0.4), bottom = 20, legend = 26;
  const high = h - bottom - legend, row = high / rows.length, bar = Math.min(row * 0.8, row - 2);
  const x = (at) => left + Math.max(0, (at - view.from) / (view.to - view.from)) * (w - left - 4);
  const shown = new Map(rows.flatMap((r) => r.blocks.map((b) => [b.shown.text, b.shown.color])));
  const every = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600].map((s) => s * 1000).find((ms) => ms * (w - left) / (view.to - view.from) > 90) ?? 86_400_000;
  const ticks = [];
  for (let at = Math.ceil(view.from / every) * every; x(at) < w - 24; at += every) ticks.push(at);
  return <div>
    <svg width={w} height={h - legend} fontSize={font} fontFamily={theme.typography.fontFamily} style={{ display: 'block' }}>
      {rows.map((r, i) => <g key={i}>
        <text x={left - 8} y={i * row + row / 2} fill={text} textAnchor="end" dominantBaseline="central" style={{ fontSize: Math.min(font, row) }}>{r.label}</text>
        {r.blocks.map((b, j) => { const from = x(b.begin), to = Math.max(x(b.end), from + 2); return <g key={j}>
          <rect x={from} y={i * row + (row - bar) / 2} width={to - from} height={bar} fill={b.shown.color} fillOpacity="0.9" />
          {to - from > b.shown.text.length * 8 && bar > font + 2 && <text x={from + 6} y={i * row + row / 2} fill={theme.colors.getContrastText(b.shown.color)} dominantBaseline="central">{b.shown.text}</text>}
        </g>; })}
      </g>)}
      {ticks.map((at) => <g key={at}><line x1={x(at)} x2={x(at)} y1="0" y2={high} stroke={theme.colors.border.weak} /><text x={x(at)} y={high + 14} fill={text} textAnchor="middle">{clock(at, view)}</text></g>)}
      {view.marks.flatMap((m) => m.times.flat().map((at, i) => <line key={m.name + i} x1={x(at)} x2={x(at)} y1="0" y2={high} stroke={theme.visualization.getColorByName(m.color)} strokeDasharray="4 4" />))}
    </svg>
    <VizLegend placement="bottom" displayMode="list" items={[...shown].map(([label, color]) => ({ label, color, yAxis: 1 }))} />
  </div>;
}

const clock = (at, view) => new Date(at).toLocaleTimeString('en-GB', { timeZone: 'UTC', hour: '2-digit', minute: '2-digit', second: view.to - view.from < 600_000 ? '2-digit' : undefined });

// Head is what stands above the panels of a dashboard: its title, the time shown, and what is chosen.
function Head({ dashboard, view, theme }) {
  const field = { display: 'inline-flex', height: 32, lineHeight: '30px', marginRight: 12, fontSize: 13 };
  const box = { padding: '0 8px', border: `1px solid ${theme.colors.border.medium}`, borderRadius: 2 };
  const label = { ...box, background: theme.colors.background.secondary, borderRight: 'none', fontWeight: 500 };
  return <div style={{ marginBottom: 12 }}>
    <div style={{ display: 'flex', alignItems: 'center', marginBottom: 10 }}>
      <span style={{ fontSize: 20, fontWeight: 500, marginRight: 12 }}>{dashboard.title}</span>
      <span style={{ color: theme.colors.text.secondary, flex: 1, overflow: 'hidden', whiteSpace: 'nowrap', textOverflow: 'ellipsis' }}>{dashboard.description}</span>
      <span style={{ ...box, lineHeight: '30px', fontSize: 13 }}>{new Date(view.from).toISOString().slice(0, 10)} {clock(view.from, view)} – {clock(view.to, view)} UTC</span>
    </div>
    {dashboard.templating.list.map((v) => <span key={v.name} style={field}><span style={label}>{v.label}</span><span style={{ ...box, background: theme.components.input.background }}>{view.chosen[v.name] ?? 'All'}&ensp;⌄</span></span>)}
    {dashboard.annotations.list.filter((a) => a.expr).map((a) => <span key={a.name} style={{ ...field, alignItems: 'center' }}>
      <span style={{ width: 10, height: 10, borderRadius: 5, marginRight: 6, background: theme.visualization.getColorByName(a.iconColor) }} />{a.name}</span>)}
  </div>;
}

async function draw(view) {
  const theme = createTheme({ colors: { mode: view.theme } });
  view.range = { from: dateTime(view.from), to: dateTime(view.to), raw: { from: dateTime(view.from), to: dateTime(view.to) } };
  view.timeZone = 'utc';
  const { dashboard } = view, drawn = [];
  for (const panel of dashboard.panels) {
    if (view.panels && !view.panels.includes(panel.id)) continue;
    let data = [];
    if (panel.type !== 'row') {
      panel.fieldConfig = migrated(panel.fieldConfig);
      data = applyFieldOverrides({ data: await transformed(panel, frames(panel, view.answers[panel.id] ?? {}, view.step)), fieldConfig: panel.fieldConfig, replaceVariables: (v) => v, theme, timeZone: 'utc', fieldConfigRegistry: options(panel.fieldConfig) });
      cacheFieldDisplayNames(data);
    }
    drawn.push(<Panel key={panel.id} panel={panel} data={data} view={view} theme={theme} x={panel.gridPos.x} y={panel.gridPos.y} />);
  }
  const rows = Math.max(...dashboard.panels.map((p) => p.gridPos.y + p.gridPos.h));
  document.body.style.background = theme.colors.background.canvas;
  createRoot(document.getElementById('dashboard')).render(<ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <style>{'* { box-sizing: border-box }'}</style>
    <div style={{ width: view.width, padding: 16, boxSizing: 'content-box', color: theme.colors.text.primary, fontFamily: theme.typography.fontFamily }}>
      <Head dashboard={dashboard} view={view} theme={theme} />
      <div style={{ position: 'relative', height: rows * (ROW + MARGIN) }}>{drawn}</div>
    </div>
  </ThemeContext.Provider>);
}

// settled waits until nothing changes any more: icons come late, and canvases are drawn when their size is known.
async function settled() {
  await document.fonts.ready;
  for (let last, same = 0; same < 10;) {
    await new Promise((wake) => setTimeout(wake, 100));
    const now = document.body.innerHTML;
    same = now === last ? same + 1 : 0;
    last = now;
  }
}

fetch('view.json').then((answer) => answer.json()).then(draw).then(settled).then(() => { document.documentElement.dataset.drawn = 'on'; });
