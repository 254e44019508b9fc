"""One table of text, four renderings: Markdown, HTML, LaTeX and the terminal.

A table is made once as a `Grid`; what is best, what is missing and why is said there, so no rendering can say
less than another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
    """

    text: str
    spread: str = ""
    value: float | None = None
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Numbers are set right, text left and on one line, unless it is `prose`, which may run over several.
    `explanation` is shown on hovering in HTML.
    """

    title: str
    number: bool = True
    explanation: str = ""
    prose: bool = False


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

    def letter(self, note: str) -> str:
        """The footnote mark of a note: a, b, ... z, aa, ab, ...; empty without a note."""
        if not note:
            return ""
        number, letters = self.notes.index(note) + 1, ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord("a") + rest) + letters
        return letters

    def footnotes(self) -> list[tuple[str, str]]:
        """Pairs of mark and note."""
        return [(self.letter(note), note) for note in self.notes]


_DENSE = 7  # with so many columns of numbers a page has no room for means and spreads side by side


def markdown(grid: Grid) -> str:
    """A pipe table with its caption above and its notes below."""

    def cell(entry: Entry) -> str:
        text = markdown_text(entry.text)
        wrapped = {"best": f"**{text}**", "second": f"<ins>{text}</ins>"}.get(entry.mark, text)
        spread = f" {markdown_text(entry.spread)}" if entry.spread else ""
        mark = f"<sup>{grid.letter(entry.note)}</sup>" if entry.note else ""
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

    def cell(entry: Entry, column: Column, first: bool) -> Markup:
        text: str | Markup = escape(entry.text)
        text = {"best": Markup("<strong>{}</strong>"), "second": Markup("<u>{}</u>")}.get(
            entry.mark, Markup("{}")
        ).format(text)
        spread = Markup(' <span class="spread">{}</span>').format(entry.spread) if entry.spread else ""
        letter = grid.letter(entry.note)
        mark = (
            Markup('<sup><a href="#{0}-{1}" aria-label="note {1}">{1}</a></sup>').format(identifier, letter)
            if letter
            else ""
        )
        kinds = " ".join(
            filter(None, ["number" if column.number else "", "prose" if column.prose else "", entry.mark])
        )
        attributes = Markup(' class="{}"').format(kinds) if kinds else Markup("")
        if entry.value is not None:
            attributes += Markup(' data-sort="{}"').format(f"{entry.value:.12g}")
        tag = Markup('th scope="row"') if first else Markup("td")
        return Markup("<{}{}>{}{}{}</{}>").format(
            tag, attributes, text, mark, spread, Markup("th" if first else "td")
        )

    head = Markup("").join(
        Markup('<th scope="col"{}{}>{}</th>').format(
            Markup(' class="number"') if column.number else "",
            Markup(' title="{}"').format(column.explanation) if column.explanation else "",
            column.title,
        )
        for column in grid.columns
    )
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                cell(entry, column, index == 0)
                for index, (entry, column) in enumerate(zip(row, grid.columns, strict=True))
            )
        )
        for row in grid.rows
    )
    notes = [
        Markup('<li id="{0}-{1}"><span class="letter">{1}</span> {2}</li>').format(identifier, letter, note)
        for letter, note in grid.footnotes()
    ]
    notes += [Markup("<li>{}</li>").format(remark) for remark in grid.remarks]
    below = Markup('\n<ul class="notes">{}</ul>').format(Markup("").join(notes)) if notes else ""
    return Markup(
        '<div class="table{wide}"><div class="scroll" tabindex="0" role="region" aria-labelledby="{id}">'
        '<table{sortable}><caption id="{id}">{caption}{detail}</caption>\n<thead><tr>{head}</tr></thead>\n'
        "<tbody>\n{body}\n</tbody></table></div>{below}</div>"
    ).format(
        wide=" dense" if sum(column.number for column in grid.columns) >= _DENSE else "",
        id=identifier,
        sortable=Markup(" data-sortable") if sortable else "",
        caption=grid.caption,
        detail=Markup(" <span>{}</span>").format(grid.detail) if grid.detail else "",
        head=head,
        body=body,
        below=below,
    )


def latex(grid: Grid) -> str:
    """A booktabs ``table`` with the caption above and the notes below."""

    def cell(entry: Entry) -> str:
        text = _latex(entry.text)
        wrapped = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(entry.mark, text)
        spread = rf" {{\scriptsize {_latex(entry.spread)}}}" if entry.spread else ""
        mark = rf"\textsuperscript{{{grid.letter(entry.note)}}}" if entry.note else ""
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
                    (f" {grid.letter(entry.note)}" if entry.note else "", "dim"),
                )
                for entry in row
            )
        )
    return table


RENDERERS: dict[str, Callable[[Grid], str]] = {"markdown": markdown, "latex": latex}

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
