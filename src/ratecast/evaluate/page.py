"""The look of the report: one HTML page with everything in it, for wide and narrow screens, light and dark."""

import os
from html import escape
from pathlib import Path
from typing import Final

from ratecast.errors import OutputError
from ratecast.files import explained_full_disk, replace_file

STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1d2733; --muted: #5d6b7c; --line: #dfe4ea; --track: #eef1f4;
  --accent: #2a66c8; --accent-rgb: 42 102 200; --tint: rgb(42 102 200 / 0.07); --second: #c2571a; --on-accent: #ffffff;
  --good: #1c7a4a; --unsure: #8f5f00; --bad: #b3362b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151b; --card: #181f27; --ink: #e8ecf1; --muted: #9aa7b6; --line: #2e3843; --track: #222b35;
    --accent: #7fb0ff; --accent-rgb: 66 116 204; --tint: rgb(96 150 240 / 0.12); --second: #f0995c; --on-accent: #ffffff;
    --good: #5fce96; --unsure: #e3b341; --bad: #ff8b7f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
}
main { max-width: 1200px; margin: 0 auto; padding: 40px 28px 56px; }
h1 { font-size: 28px; line-height: 1.2; letter-spacing: -0.015em; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; line-height: 1.3; letter-spacing: -0.005em; margin: 0; }
p { margin: 0; }
.eyebrow { color: var(--muted); font-size: 13px; margin-bottom: 6px; }
.card {
  min-width: 0; margin-top: 20px; padding: 22px 24px;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
}
.card > p, figcaption { color: var(--muted); font-size: 14px; margin-top: 4px; max-width: 100ch; }
.verdict { border-left: 5px solid var(--tone); margin-top: 24px; }
.verdict strong { display: block; color: var(--tone); font-size: 13px; letter-spacing: 0.01em; }
.verdict p { color: var(--ink); font-size: 19px; line-height: 1.45; letter-spacing: -0.005em; }
.better { --tone: var(--good); } .unclear, .alone { --tone: var(--unsure); } .worse { --tone: var(--bad); }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 1px; margin: 20px 0 0; overflow: hidden;
  background: var(--line); border: 1px solid var(--line); border-radius: 12px;
}
.tiles div { background: var(--card); padding: 14px 18px 13px; }
.tiles dt { color: var(--muted); font-size: 13px; }
.tiles dd { margin: 0; font-size: 25px; font-weight: 600; line-height: 1.25; letter-spacing: -0.02em; }
.tiles dd small { display: block; min-height: 1.5em; color: var(--muted); font-size: 12px; font-weight: 400; }
.tiles dd, table { font-variant-numeric: tabular-nums; }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px; margin-top: 20px; }
.grid > .card { display: flex; flex-direction: column; margin: 0; }
.grid > .half > .plot { margin-top: auto; padding-top: 14px; }
.grid > .whole, .grid > .beside { grid-column: 1 / -1; }
.grid > .beside { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px; }
.plot { display: block; width: 100%; height: auto; }
.plot * { stroke-linejoin: round; stroke-linecap: butt; }
.scroll { overflow-x: auto; margin: 14px -24px 0; padding: 0 24px; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
table { border-collapse: collapse; }
.contest { width: 100%; font-size: 14px; }
.contest th, .contest td { padding: 9px 7px; text-align: right; vertical-align: top; white-space: nowrap; }
.contest tbody th, .contest tbody td { border-top: 1px solid var(--line); }
.contest thead th { padding-top: 0; color: var(--muted); font-size: 13px; font-weight: 500; }
.contest th:first-child { width: 20%; min-width: 140px; padding-left: 10px; text-align: left; white-space: normal; }
.contest tbody th { font-weight: 500; }
.contest small { display: block; font-size: 10.5px; font-weight: 400; color: var(--muted); }
.contest b { font-weight: 700; color: var(--accent); }
.contest tr.model > * { background: linear-gradient(var(--tint), var(--tint)), var(--card); }
.contest tr.model th { font-weight: 700; }
.contest td.whisker { padding: 0 4px; vertical-align: middle; }
.whisker svg { display: block; width: 96px; height: 46px; }
.confusion { width: 100%; table-layout: fixed; font-size: 13px; }
.confusion th { color: var(--muted); font-weight: 500; padding: 5px 2px; text-align: center; }
.confusion thead tr:first-child th { padding-top: 0; }
.confusion tbody th { text-align: right; padding-right: 10px; }
.confusion .corner { width: 58px; text-align: right; padding-right: 10px; vertical-align: bottom; }
.confusion td {
  height: var(--cell); padding: 2px; text-align: center; line-height: 1.2; border: 2px solid var(--card); border-radius: 8px;
  background: linear-gradient(var(--shade), var(--shade)), var(--track); --shade: rgb(var(--accent-rgb) / var(--share));
}
.confusion td.strong { color: var(--on-accent); }
.confusion td small { display: block; font-size: 11px; }
.confusion td.none { color: var(--muted); }
.confusion.many { font-size: 11px; }
.confusion.many td { border-width: 1px; border-radius: 4px; }
details { margin-top: 16px; font-size: 14px; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
details dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 12px 0 0; }
details dt { font-weight: 600; } details dd { margin: 0; color: var(--muted); }
pre { margin: 14px 0 0; font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-x: auto; white-space: pre-wrap; }
.notes { margin: 10px 0 0; padding-left: 20px; } .notes li + li { margin-top: 6px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 760px) {
  main { padding: 24px 14px 36px; }
  h1 { font-size: 23px; } .verdict p { font-size: 17px; }
  .card { padding: 18px 16px; }
  .scroll { margin-inline: -16px; padding-inline: 16px; }
  .grid, .grid > .beside { grid-template-columns: minmax(0, 1fr); }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .contest th:first-child { position: sticky; left: -16px; z-index: 1; min-width: 132px; max-width: 150px; }
  .contest tr:not(.model) th:first-child { background: var(--card); }
  .confusion .corner { width: 34px; } .confusion tbody th { padding-right: 6px; }
  pre { white-space: pre; }
  details dl { grid-template-columns: 1fr; gap: 0; } details dd { margin-bottom: 8px; }
}
@media print { body { background: none; } .card, .tiles { break-inside: avoid; } main { padding: 0; } }
"""


def page(title: str, body: str) -> str:
    """The whole HTML document around ``body``, which is HTML already; the title is plain text."""
    unbroken = body.replace(" %", "\u00a0%")  # a number and its unit stay on one line
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{unbroken}\n</main>\n</body>\n</html>\n"
    )


def write_page(path: Path, text: str) -> None:
    """Write a report, as a whole or not at all.

    Raises:
        OutputError: if the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with explained_full_disk(path):
            beside.write_text(text, encoding="utf-8")
            replace_file(beside, path)
    except OSError as error:
        raise OutputError(f"cannot write the report to {path}: {error.strerror or error}; choose another place") from None
    finally:
        beside.unlink(missing_ok=True)
