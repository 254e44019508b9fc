"""One table of text, four renderings: Markdown, HTML, LaTeX and the terminal.

A table is made once as a `Grid`; what is best, what is missing and why is said there, so no rendering can say
less than another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from markupsafe import Markup, escape
from rich.table import Table as RichTable
from rich.text import Text


@dataclass(frozen=True)
class Entry:
    """One cell of a table.

    Attributes
    ----------
    text
        What is printed.
    spread
        What follows it in a quieter voice, such as a standard deviation.
    value
        What the cell is sorted by; `text` where None.
    mark
        ``"best"``, ``"second"``, ``"alarm"`` or ``""``.
    note
        What a reader must know about this cell; it becomes a footnote.
    method, dataset
        What the cell's row is about, for the page to show and hide it by.
    """

    text: str
    spread: str = ""
    value: float | None = None
    mark: str = ""
    note: str = ""
    method: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Numbers are set right, text left and on one line, unless it is `prose`, which may run over several.
    `explanation` is shown on hovering in HTML; `dataset` is the one that the column is about, for the page to
    show and hide it by.
    """

    title: str
    number: bool = True
    explanation: str = ""
    prose: bool = False
    dataset: str = ""


@dataclass(frozen=True)
class Grid:
    """A table ready to be rendered: `rows` holds one `Entry` for each of `columns`."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    remarks: Sequence[str] = field(default=())
    detail: str = ""  # the rest of the caption, in a quieter voice

    @property
    def notes(self) -> list[str]:
        """The distinct notes of the cells, in reading order."""
        return list(dict.fromkeys(entry.note for row in self.rows for entry in row if entry.note))

    @cached_property
    def letters(self) -> dict[str, str]:
        """Note -> its mark: a, b, ... z, aa, ab, ...; the empty note has the empty mark."""
        return {"": ""} | {note: _letter(number) for number, note in enumerate(self.notes, 1)}

    def footnotes(self) -> list[tuple[str, str]]:
        """Pairs of mark and note."""
        return [(letter, note) for note, letter in self.letters.items() if note]


def _letter(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


_WRAPPED = {"best": "<strong>{}</strong>", "second": "<u>{}</u>"}
_DENSE = 7  # with so many columns of numbers a page has no room for means and spreads side by side


def markdown(grid: Grid) -> str:
    """A pipe table with its caption above and its notes below."""

    def cell(entry: Entry) -> str:
        text = markdown_text(entry.text)
        wrapped = {"best": f"**{text}**", "second": f"<ins>{text}</ins>"}.get(entry.mark, text)
        spread = f" {markdown_text(entry.spread)}" if entry.spread else ""
        mark = f"<sup>{grid.letters[entry.note]}</sup>" if entry.note else ""
        return f"{wrapped}{spread}{mark}"

    detail = f": {markdown_text(grid.detail)}" if grid.detail else ""
    lines = [f"**{markdown_text(grid.caption)}**{detail}", ""]
    lines.append("| " + " | ".join(markdown_text(column.title) for column in grid.columns) + " |")
    lines.append("|" + "|".join(" ---: " if column.number else " :--- " for column in grid.columns) + "|")
    lines += ["| " + " | ".join(cell(entry) for entry in row) + " |" for row in grid.rows]
    below = [f"<sup>{letter}</sup> {markdown_text(note)}" for letter, note in grid.footnotes()]
    below += [markdown_text(remark) for remark in grid.remarks]
    if below:
        lines += ["", "<br>".join(below)]
    return "\n".join(lines) + "\n"


def html(grid: Grid, *, identifier: str, sortable: bool = True) -> Markup:
    """A ``<table>`` in a box that scrolls sideways, the notes beneath it.

    Parameters
    ----------
    identifier
        Unique on the page; the notes are linked through it.
    sortable
        Whether the page's script may offer to sort it.
    """

    def cell(entry: Entry, column: Column, tag: str) -> str:
        text = _WRAPPED.get(entry.mark, "{}").format(escape(entry.text))
        if entry.note:
            letter = grid.letters[entry.note]
            text += f'<sup><a href="#{identifier}-{letter}" aria-label="note {letter}">{letter}</a></sup>'
        if entry.spread:
            text += f' <span class="spread">{escape(entry.spread)}</span>'
        named = ("number" if column.number else "", "prose" if column.prose else "", entry.mark)
        kinds = " ".join(filter(None, named))
        attributes = f' class="{kinds}"' if kinds else ""
        attributes += f' data-sort="{entry.value:.12g}"' if entry.value is not None else ""
        return f"<{tag}{attributes}>{text}</{tag.partition(' ')[0]}>"

    def heading(column: Column) -> str:
        attributes = ' class="number"' if column.number else ""
        attributes += f' title="{escape(column.explanation)}"' if column.explanation else ""
        attributes += f' data-dataset="{escape(column.dataset)}"' if column.dataset else ""
        return f'<th scope="col"{attributes}>{escape(column.title)}</th>'

    tags = ['th scope="row"'] + ["td"] * (len(grid.columns) - 1)
    body = []
    for row in grid.rows:
        about = {"method": [entry.method for entry in row], "dataset": [entry.dataset for entry in row]}
        told = {name: next(filter(None, named), "") for name, named in about.items()}
        opened = "".join(f' data-{name}="{escape(value)}"' for name, value in told.items() if value)
        body.append(
            f"<tr{opened}>"
            + "".join(cell(*told) for told in zip(row, grid.columns, tags, strict=True))
            + "</tr>"
        )
    identifier = str(escape(identifier))
    notes = [
        f'<li id="{identifier}-{letter}"><span class="letter">{letter}</span> {escape(note)}</li>'
        for letter, note in grid.footnotes()
    ]
    notes += [f"<li>{escape(remark)}</li>" for remark in grid.remarks]
    dense = " dense" if sum(column.number for column in grid.columns) >= _DENSE else ""
    detail = f" <span>{escape(grid.detail)}</span>" if grid.detail else ""
    # Safe: every text above went through `escape`.
    return Markup(
        f'<div class="table{dense}"><div class="scroll" tabindex="0" role="region" '
        f'aria-labelledby="{identifier}"><table{" data-sortable" if sortable else ""}>'
        f'<caption id="{identifier}">{escape(grid.caption)}{detail}</caption>\n'
        f"<thead><tr>{''.join(map(heading, grid.columns))}</tr></thead>\n"
        "<tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table></div>"
        + (f'\n<ul class="notes">{"".join(notes)}</ul>' if notes else "")
        + "</div>"
    )


def latex(grid: Grid) -> str:
    """A booktabs ``table`` with the caption above and the notes below."""

    def cell(entry: Entry) -> str:
        text = _latex(entry.text)
        wrapped = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(entry.mark, text)
        spread = rf" {{\scriptsize {_latex(entry.spread)}}}" if entry.spread else ""
        mark = rf"\textsuperscript{{{grid.letters[entry.note]}}}" if entry.note else ""
        return f"{wrapped}{spread}{mark}"

    rows = [" & ".join(_latex(column.title) for column in grid.columns)]
    rows += [" & ".join(cell(entry) for entry in row) for row in grid.rows]
    below = [rf"\textsuperscript{{{letter}}} {_latex(note)}" for letter, note in grid.footnotes()]
    below += [_latex(remark) for remark in grid.remarks]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(': '.join(filter(None, (grid.caption, grid.detail))))}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in grid.columns)}}}",
        r"\toprule",
        rf"{rows[0]} \\",
        r"\midrule",
        *(rf"{row} \\" for row in rows[1:]),
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip\footnotesize " + r"\par ".join(below)] if below else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def terminal(grid: Grid) -> RichTable:
    """A table for `rich`; best is bold, second underlined, the notes stand in its caption."""
    below = [f"{letter} {note}" for letter, note in grid.footnotes()] + list(grid.remarks)
    table = RichTable(
        title=Text.assemble((grid.caption, "bold"), (f"\n{grid.detail}" if grid.detail else "", "dim")),
        caption=Text("\n".join(below), style="dim") if below else None,
        title_justify="left",
        caption_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 1),
    )
    for column in grid.columns:
        table.add_column(
            Text(column.title), justify="right" if column.number else "left", no_wrap=column.number
        )
    styles = {"best": "bold green", "second": "underline", "alarm": "red"}
    for row in grid.rows:
        table.add_row(
            *(
                Text.assemble(
                    (entry.text, styles.get(entry.mark, "")),
                    (f" {entry.spread}" if entry.spread else "", "dim"),
                    (f" {grid.letters[entry.note]}" if entry.note else "", "dim"),
                )
                for entry in row
            )
        )
    return table


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "½": r"$\frac12$",
    "−": r"$-$",
    "–": "--",
    "‖": r"$\|$",
    "²": r"$^2$",
    "\u202f": r"\,",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text.replace("\n", " "))


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is: no markup of its own, no new line, no new table column."""
    flat = " ".join(str(text).split("\n"))
    safe = str(escape(flat)).replace("&#39;", "'").replace("&#34;", '"')
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", safe)
