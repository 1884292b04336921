"""How report.html looks: one column of calm type, light or dark as the reader has it, whole at a phone's width."""

STYLE = """
:root {
  --paper: #fcfcfb; --card: #ffffff; --ink: #1f2328; --muted: #59636e; --line: #e3e6ea; --accent: #0072b2;
  --doubt: #b04a00; --note: #fff6e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1c2024; --ink: #e6e8ea; --muted: #9aa4ae; --line: #2e343a; --accent: #62b5e5;
    --doubt: #f0a060; --note: #33291a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.0625rem; margin: 2.75rem 0 .75rem; }
header p { margin: .35rem 0 0; color: var(--muted); overflow-wrap: anywhere; }
.notice { background: var(--note); border-left: 4px solid var(--doubt); padding: .75rem 1rem; overflow-wrap: anywhere; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(7.75rem, 1fr)); margin: 1.75rem 0 0;
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden;
}
.tiles div { outline: 1px solid var(--line); padding: .8rem 1rem; }
.tiles dt { color: var(--muted); font-size: .8125rem; }
.tiles dd { margin: .1rem 0 0; font-size: 1.375rem; white-space: nowrap; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.tiles .doubt dd { color: var(--doubt); }
figure { margin: 0; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.plot { background: #fff; padding: .75rem; overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption small { display: none; }
@media (max-width: 40rem) {
  .wide { /* a shadow where there is more to see */
    background: linear-gradient(to right, #fff 40%, #fff0) 0 0 / 2rem 100% local,
      linear-gradient(to left, #fff 40%, #fff0) 100% 0 / 2rem 100% local,
      linear-gradient(to right, #0003, #0000) 0 0 / 1rem 100% scroll,
      linear-gradient(to left, #0003, #0000) 100% 0 / 1rem 100% scroll, #fff;
    background-repeat: no-repeat;
  }
  .wide img { max-width: none; width: 40rem; mix-blend-mode: multiply; }
  .wide + figcaption small { display: inline; }
}
figcaption {
  background: var(--card); color: var(--muted); font-size: .875rem; padding: .6rem .75rem;
  border-top: 1px solid var(--line);
}
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
tr { border-top: 1px solid var(--line); }
tr:first-child { border-top: 0; }
th { text-align: left; font-weight: 400; padding: .5rem 1rem .5rem 0; vertical-align: top; overflow-wrap: anywhere; }
th small { display: block; color: var(--muted); font-size: .8125rem; }
td { text-align: right; padding: .5rem 0; vertical-align: top; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
td.words { white-space: normal; overflow-wrap: anywhere; max-width: 28rem; }
.scroll { overflow-x: auto; }
.figures { font-size: .8125rem; }
.figures th { white-space: nowrap; padding-right: .75rem; }
.figures thead th { color: var(--muted); }
.figures thead th + th { text-align: right; padding: .5rem 0 .5rem .75rem; }
.figures td { padding-left: .75rem; }
a { color: var(--accent); }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0;
  overflow-x: auto; font: .8125rem/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
details { border-top: 1px solid var(--line); padding: .6rem 0; }
summary { cursor: pointer; color: var(--accent); }
@media print { details { display: block; } main { max-width: none; } section { break-inside: avoid; } }
"""
