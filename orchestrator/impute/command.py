"""The verb `impute` of the command line."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from orchestrator.impute.missing import items
from orchestrator.refusing import refusals
from orchestrator.sweep import RequestError

UNITS = {"s": 1, "m": 60, "h": 3600}


@click.command()
@click.argument("table", metavar="[TABLE]", required=False)
@click.option("-o", "--out", metavar="FILE", help="Filled table: .csv, .parquet, .feather.")
@click.option("--method", default="auto", metavar="NAME", help="Method, or auto.  [default: auto]")
@click.option("--params", metavar="JSON", help="Parameters of the method: '{\"n_iter\": 20}'.")
@click.option(
    "--metric", default="error", metavar="NAME", help="auto chooses by error, mae, rmse or accuracy."
)
@click.option("--budget", default="5m", metavar="TIME", help="For auto: 90s, 5m, 1h.  [default: 5m]")
@click.option("--among", metavar="A,B", help="Methods that auto chooses from.  [default: all]")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Write N imputations, numbered.")
@click.option("--one-file-each", is_flag=True, help="With --samples: a file for each, FILE-01 and so on.")
@click.option("--spread", metavar="FILE", help="Write how far the draws of each filled entry lie apart.")
@click.option("--only", metavar="A,B", help="Fill these columns alone.")
@click.option(
    "--kind", "kinds", metavar="A=ROLE,..", help="What columns are: 'zip=category,when=date:%d/%m/%Y'."
)
@click.option("--missing", metavar="V,A=V,..", help="What else stands for a hole: 'BMI=0,-999'.")
@click.option("--not-missing", metavar="V,..", help="Markers that are values: 'NA,-'.")
@click.option("--train", "train_on", metavar="FILE", help="Learn from this table, and fill that of --apply.")
@click.option("--apply", "apply_to", metavar="FILE", help="The table to fill, with --train or --load.")
@click.option("--save", metavar="FILE", help="Keep the imputer.")
@click.option("--load", metavar="FILE", help="Use an imputer that was kept.")
@click.option("--report", metavar="FILE", help="Page of what was done.  [default: beside the filled table]")
@click.option("--no-report", is_flag=True, help="Write no page.")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="[default: 0]")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu or cuda.  [default: auto]")
@click.option("--workers", type=click.IntRange(min=1), help="CPUs for auto on this machine.  [default: all]")
@click.option("--address", metavar="ADDR", help="Ray cluster for auto.  [default: this machine]")
@click.option(
    "--plugin", "plugins", metavar="FILE.py", multiple=True, help="A file that defines more methods."
)
@click.option("--sep", metavar="CHAR", help="Separator of a text file: ';' or tab.  [default: inferred]")
@click.option("--encoding", metavar="NAME", help="Encoding of a text file.  [default: inferred]")
@click.option("--header", type=click.Choice(["yes", "no"]), help="Whether the first line names the columns.")
@click.option("--names", metavar="A,B,..", help="Names of the columns.")
@click.option("--decimal", metavar="CHAR", help="Decimal sign, . or ,  [default: inferred]")
@click.option("--sheet", metavar="NAME", help="Sheet of a workbook, by name or number.  [default: the first]")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.pass_context
def impute(ctx: click.Context, **options: Any) -> None:
    """Fill the holes of TABLE (CSV, Parquet, Arrow or Excel) with the method that suits it.

    Observed entries come back as they were. Identifiers, free text and constants are left alone; what each
    column was taken for is said, and --kind overrides it.
    """
    from orchestrator.impute.run import Request, run

    console = Console(highlight=False)
    progress = Console(stderr=True, highlight=False, quiet=options["quiet"])
    with _refusals():
        request = Request(
            table=_table(options),
            out=options["out"],
            spread=options["spread"],
            stack=bool(options["samples"]),
            save=options["save"],
            report="" if options["no_report"] else options["report"],
            one_file_each=options["one_file_each"],
            force=options["force"],
            command=shlex.join(["python", "-m", "orchestrator", *sys.argv[1:]]),
            how={
                "method": options["method"],
                "params": _params(options["params"]),
                "metric": options["metric"],
                "budget": seconds(options["budget"]),
                "among": _list(options["among"]),
                "samples": options["samples"] or (20 if options["spread"] else 0),
                "only": _list(options["only"]),
                "kinds": options["kinds"],
                "missing": options["missing"],
                "not_missing": options["not_missing"],
                "train_on": options["train_on"],
                "imputer": options["load"],
                "seed": options["seed"],
                "device": options["device"],
                "workers": options["workers"],
                "address": options["address"],
                "plugins": options["plugins"],
                "reading": {
                    "separator": {"tab": "\t", "\\t": "\t"}.get(options["sep"], options["sep"]),
                    "encoding": options["encoding"],
                    "header": {"yes": True, "no": False}.get(options["header"]),
                    "names": _list(options["names"]),
                    "decimal": options["decimal"],
                    "sheet": options["sheet"],
                },
            },
        )
        run(request, console, progress)


def seconds(text: str) -> float:
    """A time such as 90s, 5m or 1h; a bare number is seconds.

    >>> seconds("5m"), seconds("90")
    (300.0, 90.0)
    """
    unit = UNITS.get(text[-1:], 0)
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise RequestError(f"--budget {text!r} is not a time such as 90s, 5m or 1h")
    return value


def _table(options: dict[str, Any]) -> str:
    """The table to fill: TABLE, or that of --apply."""
    given = [name for name in (options["table"], options["apply_to"]) if name]
    if len(given) != 1:
        what = "both TABLE and --apply" if given else "no table"
        raise RequestError(f"{what}: name the table to fill once")
    if options["apply_to"] and not (options["train_on"] or options["load"]):
        raise RequestError("--apply fills a table by what was learned from another: add --train or --load")
    return str(given[0])


def _params(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        params = json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(f"--params {text!r} is not JSON ({error}); such as '{{\"n_iter\": 20}}'") from None
    if not isinstance(params, dict):
        raise RequestError(f"--params {text!r} is not an object such as '{{\"n_iter\": 20}}'")
    return params


def _list(text: str | None) -> Sequence[str] | None:
    return None if text is None else items(text)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        with refusals():
            yield
    except KeyboardInterrupt:
        Console(stderr=True).print(escape("interrupted: nothing was written"))
        sys.exit(130)
