"""Pieces of an HTML page: style, sorting, tables, figures. What goes into them belongs to `report`."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

_MAX_CELLS = 160  # of a strip

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b2a1f; background: #fbfcfa; margin: 0 auto; max-width: 66rem;
  padding: 1rem; }
h1 { font-size: 1.35rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem; }
.figures div { background: #e9f1ea; border-radius: .5rem; padding: .5rem .8rem; }
.figures b { display: block; font-size: 1.45rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures small, .hint { color: #56655a; font-size: .82rem; }
.note { background: #fff6dd; border-left: 4px solid #d9a400; padding: .4rem .8rem; margin: .8rem 0; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; } figcaption { font-size: .88rem; color: #56655a; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde5dd; }
th.number, td.number { text-align: right; white-space: nowrap; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid #2f6f44; }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
.bar { background: #4f8a5b; height: .7rem; border-radius: .2rem; min-width: 1px; }
.track { background: #e3e9e3; width: 7rem; border-radius: .2rem; }
article { border: 1px solid #dde5dd; border-radius: .5rem; padding: .8rem; margin: .8rem 0; background: #fff; }
article p { margin: .2rem 0 .5rem; } article img { width: 100%; height: 9rem; display: block; border-radius: .2rem; }
audio { width: 100%; height: 2.4rem; margin-bottom: .4rem; }
.strips { display: grid; grid-template-columns: minmax(6rem, 13rem) 2.6rem 1fr; gap: .15rem .5rem; font-size: .88rem;
  align-items: center; }
.strips span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.strips span.true { text-decoration: underline; font-weight: 600; }
.strips svg { width: 100%; height: 1rem; background: #eef2ee; border-radius: .15rem; }
@media (max-width: 40rem) { th, td { padding: .3rem .35rem; } .track { width: 4rem; }
  .strips { grid-template-columns: 1fr 2.6rem; } .strips svg { grid-column: 1 / -1; } }
"""

_SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.closest("th"), column = head.cellIndex, body = head.closest("table").tBodies[0];
  const number = head.className === "number";
  const rising = head.ariaSort ? head.ariaSort !== "ascending" : !number;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = row => {
    const text = row.cells[column].textContent;
    return number ? (isNaN(parseFloat(text)) ? -1 : parseFloat(text)) : text;
  };
  const order = (a, b) => number ? value(a) - value(b) : value(a).localeCompare(value(b));
  body.append(...[...body.rows].sort((a, b) => rising ? order(a, b) : order(b, a)));
};
"""


def page(title: str, body: str) -> str:
    """A whole page around HTML that is ready."""
    title = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>{body}<script>{_SCRIPT}</script></body></html>\n"
    )


def section(title: str, body: str, hint: str = "") -> str:
    """A heading, what it is about, and its body."""
    shown = f"<p class=hint>{html.escape(hint)}</p>" if hint else ""
    return f"<section><h2>{html.escape(title)}</h2>{shown}{body}</section>\n"


def figures(values: Sequence[tuple[str, float, tuple[float, float] | None]]) -> str:
    """Headline numbers: (name, value, interval or None)."""
    cells = []
    for name, value, interval in values:
        shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        around = f"<small>{interval[0]:.3f}–{interval[1]:.3f}</small>" if interval else ""
        cells.append(f"<div>{html.escape(name.replace('_', ' '))}<b>{shown}</b>{around}</div>")
    return f"<div class=figures>{''.join(cells)}</div>"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that sorts; a heading that begins with # is of numbers; cells are HTML that is ready."""
    kinds = [" class=number" if column.startswith("#") else "" for column in columns]
    heads = (
        f"<th{kind}><button>{html.escape(column.lstrip('#'))}</button></th>" if column else "<th></th>"
        for column, kind in zip(columns, kinds, strict=True)
    )
    lines = (
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f"<div class=scroll><table><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(lines)}</tbody>"
        "</table></div>"
    )


def picture(svg: str, caption: str) -> str:
    """An SVG with its caption."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def strip(name: str, value: str, scores: np.ndarray, *, marked: bool) -> str:
    """One row of a grid of three columns: a name (HTML), a number, and scores [n] in [0, 1] over time as shades."""
    step = -(-len(scores) // _MAX_CELLS)  # ceil: a long recording shows the highest of neighbouring chunks
    cells = [float(scores[i : i + step].max()) for i in range(0, len(scores), step)]
    boxes = "".join(
        f"<rect x='{i}' width='1' height='1' fill='#1f5f36' fill-opacity='{p:.2f}'></rect>"
        for i, p in enumerate(cells)
        if p >= 0.005
    )
    return (
        f"<span class='{'true' if marked else 'other'}'>{name}</span><span>{value}</span>"
        f"<svg viewBox='0 0 {len(cells)} 1' preserveAspectRatio='none' shape-rendering='crispEdges'>{boxes}</svg>"
    )
