"""How the status page looks: one style sheet, light and dark, for any width. Its colours are checked by a test."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f4f6f8; --card: #ffffff; --text: #1b2026; --muted: #55606c; --line: #d3dae1; --link: #0a58a8;
  --good: #14632a; --good-back: #e3f5e7; --warn: #744700; --warn-back: #fff1d2; --bad: #a30d24; --bad-back: #ffe9ea;
  --stay: #7b8793; --track: #e4e9ee; --bar: #2f6fb0;
  --go-0: #c2410c; --go-1: #7c3aad; --go-2: #0b7285; --go-3: #a3195b; --go-4: #5c6b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1318; --card: #171e26; --text: #e7edf3; --muted: #a3b0bd; --line: #323d49; --link: #7db8f5;
    --good: #7ed492; --good-back: #12301b; --warn: #f2c063; --warn-back: #372a0c; --bad: #ff9aa2; --bad-back: #43161b;
    --stay: #8794a1; --track: #2a343f; --bar: #5fa3e6;
    --go-0: #fb8b4b; --go-1: #c79af5; --go-2: #4cc3d9; --go-3: #f47fb6; --go-4: #b7c945;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text); line-height: 1.5;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; }
header, main, footer { max-width: 74rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.25rem; }
header p.name { margin: 0; color: var(--muted); font-size: .9rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: .15rem 0 1rem; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .4rem 1rem; list-style: none; margin: 0 0 1rem; padding: 0; }
.cache {
  background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; margin: 0 0 1.5rem; padding: 1rem;
}
.top { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; }
.badge { border-radius: 1rem; padding: .1rem .7rem; font-weight: 600; font-size: .9rem; white-space: nowrap; }
.good { color: var(--good); background: var(--good-back); }
.warn { color: var(--warn); background: var(--warn-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.state { font-size: 1.1rem; margin: .5rem 0 .25rem; text-wrap: pretty; }
.quiet, caption, figcaption { color: var(--muted); font-size: .875rem; margin: 0; overflow-wrap: anywhere; }
.troubles { list-style: none; margin: .75rem 0 0; padding: 0; display: grid; gap: .5rem; }
.troubles li { border-left: .3rem solid; border-radius: .3rem; padding: .5rem .75rem; overflow-wrap: anywhere; }
.troubles p { margin: 0; color: var(--text); }
.troubles .what { font-weight: 600; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .9em; overflow-wrap: anywhere; }
pre { margin: .25rem 0 0; white-space: pre-wrap; color: var(--text); }
.meters, .charts { display: grid; gap: 1.25rem; margin-top: 1.25rem; grid-template-columns: minmax(0, 1fr); }
.column { display: grid; gap: 1.25rem; align-content: start; grid-template-columns: minmax(0, 1fr); }
.meters figure { max-width: 26rem; }
@media (min-width: 44rem) { .meters { grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); } }
@media (min-width: 60rem) { .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg.patterns { position: absolute; width: 0; height: 0; }
svg text { fill: var(--muted); font-size: 12px; font-family: inherit; }
svg text.on { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
svg text.strong { fill: var(--text); font-weight: 600; }
.track { fill: var(--track); } .bar { fill: var(--bar); } .over { fill: var(--bad); } .axis { stroke: var(--line); }
.stay { fill: var(--stay); stroke: var(--card); }
.go { stroke: var(--card); }
.mark { stroke: var(--text); stroke-width: 1.5; } .mark.low { stroke-dasharray: 3 2; }
.area { fill: var(--bar); fill-opacity: .18; } .curve { fill: none; stroke: var(--bar); stroke-width: 2; }
.curve.without { stroke: var(--muted); stroke-dasharray: 5 4; }
ul.coming { margin: .5rem 0 0; padding-left: 1.1rem; font-size: .9rem; overflow-wrap: anywhere; }
.run { stroke: var(--card); }
.run.good { fill: var(--good); }
.run.warn { fill: var(--warn); }
.run.bad { fill: var(--bad); }
ul.legend {
  display: flex; flex-wrap: wrap; gap: .2rem 1rem;
  list-style: none; margin: .25rem 0 0; padding: 0; font-size: .875rem;
}
.legend svg { display: inline-block; width: 1rem; height: 1rem; vertical-align: -.15rem; margin-right: .35rem; }
.scroll { overflow-x: auto; margin-top: .5rem; }
.block { margin-top: 1.25rem; min-width: 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--muted); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td, td code { white-space: nowrap; }
td.words { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  .scroll table, .scroll caption, .scroll tbody, .scroll tr, .scroll td { display: block; }
  .scroll thead { position: absolute; left: -99rem; }
  .scroll tr { border-bottom: 1px solid var(--line); padding: .35rem 0; }
  .scroll td, .scroll td.number { display: flex; gap: .5rem; border: 0; padding: 0; text-align: left; min-width: 0; }
  .scroll td, .scroll td code { white-space: normal; }
  .scroll td::before { content: attr(data-label); color: var(--muted); flex: 0 0 7.5rem; }
}
.result { font-weight: 600; background: none; }
details { margin-top: .25rem; font-size: .875rem; }
summary { cursor: pointer; color: var(--link); }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0 0; font-size: .9rem; }
dl div { display: flex; gap: .4rem; } dt { color: var(--muted); } dd { margin: 0; }
footer { color: var(--muted); font-size: .875rem; padding-bottom: 2rem; }
@media print { body { background: none; } .cache { break-inside: avoid; } }
"""
