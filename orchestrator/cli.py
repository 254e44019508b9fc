"""The command line: each verb parses, calls one function and prints.

Exit status: 0 when all went well, 1 when trials failed, 2 for a request that cannot be carried out (nothing
was run), 130 after Ctrl-C.
"""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

import datasets
import methods
from orchestrator import listing, plugins
from orchestrator.impute.command import impute
from orchestrator.refusing import Refusal, refusals
from orchestrator.scores import GROUPS
from orchestrator.store import Store, is_url
from orchestrator.sweep import RequestError, Sweep

RESULTS = Path("results")
LOG_WIDTH = 120


class Verbs(click.Group):
    """A group whose unknown verbs are answered with the nearest ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(
                str(methods.UnknownNameError("command", args[0], self.list_commands(ctx))), ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lacuna")
def main() -> None:
    """Lacuna: benchmark ways of filling the holes in a table."""


@main.command()
@click.argument("source", metavar="[NAME|FILE.yaml]", default="quick")
@click.option(
    "--datasets", "datasets_", metavar="A,B", help="Catalogued names, or paths of CSV or Parquet files."
)
@click.option("--methods", "methods_", metavar="A,B", help="Methods to run.")
@click.option("--mechanisms", metavar="A,B", help="How holes come about.")
@click.option("--ratios", metavar="R,R", help="Shares of entries to hide, each in (0, 1).")
@click.option("--seeds", metavar="N", help="Number of mask seeds, or the seeds themselves: 5, or 0,3,7.")
@click.option("--protocol", metavar="NAME", help="How tables are standardised and split.")
@click.option("--scores", metavar="A,B", help=f"Scores beyond the standard ones: {', '.join(GROUPS)}.")
@click.option("--deadline", metavar="SECONDS", help="Time limit of a trial.")
@click.option("--memory-limit", metavar="SIZE", help="Memory limit of a trial's worker: 4 GiB.")
@click.option("--gpu-fraction", metavar="F", help="Share of a GPU for a trial of an accelerated method.")
@click.option(
    "--plugin", "plugins", metavar="FILE.py", multiple=True, help="A file that defines more methods."
)
@click.option("--out", metavar="DIR", help="Results folder, or s3://BUCKET/PREFIX.  [default: results/NAME]")
@click.option(
    "--address", metavar="ADDR", help="Ray cluster to run on; 'auto' finds one.  [default: this machine]"
)
@click.option("--workers", type=click.IntRange(min=1), help="CPUs to use on this machine.  [default: all]")
@click.option("--retry-failed", is_flag=True, help="Run trials again whose record is a failure.")
@click.option("--dry-run", is_flag=True, help="Show the plan and its expected cost; start and write nothing.")
@click.option(
    "--costs",
    metavar="DIR",
    multiple=True,
    help="With --dry-run: a results folder to learn costs from, besides the sweep's own.",
)
@click.option(
    "--chaos", metavar="P", help="Kill workers in this share of the attempts, to show that no number changes."
)
@click.pass_context
def sweep(ctx: click.Context, source: str, **options: Any) -> None:
    """Run every trial of a sweep that has no record yet, then report.

    The request may be issued again at any time: what is done stays done, the rest runs.
    """
    from orchestrator import runner

    overrides = {
        key.rstrip("_"): options[key]
        for key in (
            "datasets_",
            "methods_",
            "mechanisms",
            "ratios",
            "seeds",
            "protocol",
            "scores",
            "deadline",
            "memory_limit",
            "gpu_fraction",
        )
        if options[key] is not None
    }
    if "," in overrides.get("seeds", ""):
        overrides["seeds"] = [seed for seed in overrides["seeds"].split(",") if seed.strip()]
    with refusals():
        plugins.load(options["plugins"])
        request = runner.Request(
            sweep=Sweep.load(source, overrides),
            directory=options["out"] or None,
            address=options["address"],
            workers=options["workers"],
            retry_failed=options["retry_failed"],
            chaos=_share("chaos", options["chaos"]),
            plugins=options["plugins"],
            command=shlex.join(["python", "-m", "orchestrator", *sys.argv[1:]]),
        )
        if options["costs"] and not options["dry_run"]:
            raise RequestError("--costs tells --dry-run where to learn costs from: add --dry-run")
        if options["dry_run"]:
            runner.dry_run(request, [_results(folder) for folder in options["costs"]], _console())
        else:
            ctx.exit(runner.run(request, _console()))


@main.command()
@click.argument("method", metavar="METHOD")
@click.option("--dataset", required=True, metavar="NAME", help="A catalogued name, or a CSV or Parquet file.")
@click.option("--mechanism", default="mcar", metavar="NAME", help="How holes come about.  [default: mcar]")
@click.option("--ratio", default="0.3", metavar="R", help="Share of entries to hide.  [default: 0.3]")
@click.option(
    "--mask-seeds", "--mask-seed", default="0", metavar="S,S", help="Masks to search on.  [default: 0]"
)
@click.option("--space", metavar="NAME|FILE.yaml", help="What to search.  [default: the method's own space]")
@click.option("--trials", type=int, default=100, metavar="N", help="Configurations to try.  [default: 100]")
@click.option("--folds", type=int, default=4, metavar="N", help="Validation folds of each.  [default: 4]")
@click.option("--hide", metavar="R", help="Share of the visible entries to hide in a fold.  [default: 0.1]")
@click.option("--metric", default="mae", metavar="NAME", help="The score to better.  [default: mae]")
@click.option("--seed", type=int, default=0, metavar="N", help="Of proposals and folds.  [default: 0]")
@click.option("--deadline", default="3600", metavar="SECONDS", help="Time limit of a fold.  [default: 3600]")
@click.option("--gpu-fraction", metavar="F", help="Share of a GPU for a fold of an accelerated method.")
@click.option(
    "--plugin", "plugins", metavar="FILE.py", multiple=True, help="A file that defines more methods."
)
@click.option("--out", metavar="DIR", help="Folder of the search.  [default: results/tune-METHOD-NAME]")
@click.option(
    "--address", metavar="ADDR", help="Ray cluster to run on; 'auto' finds one.  [default: this machine]"
)
@click.option("--workers", type=click.IntRange(min=1), help="CPUs to use on this machine.  [default: all]")
@click.pass_context
def tune(ctx: click.Context, method: str, **options: Any) -> None:
    """Search the hyperparameters of METHOD on one table, judged on observed entries hidden for validation.

    Leaves best.yaml, a sweep of the best configuration beside the default, and a page. The request may be
    issued again at any time: what is done stays done, the rest runs.
    """
    from orchestrator import search_runner
    from orchestrator.search import Search

    rest = {name: options.pop(name) for name in ("plugins", "out", "address", "workers")}
    with refusals():
        plugins.load(rest["plugins"])
        options["mask_seeds"] = [seed for seed in options["mask_seeds"].split(",") if seed.strip()]
        request = search_runner.SearchRequest(
            search=Search.from_options(method, **options),
            directory=rest["out"],
            address=rest["address"],
            workers=rest["workers"],
            plugins=rest["plugins"],
            command=shlex.join(["python", "-m", "orchestrator", *sys.argv[1:]]),
        )
        ctx.exit(search_runner.run(request, _console()))


@main.command()
@click.argument("directory", metavar="[DIR]", default="quick")
@click.option("--watch", is_flag=True, help="Look again every two seconds until nothing is missing.")
def status(directory: str, watch: bool) -> None:
    """How far the sweep in DIR is: done, running, failed by cause, time left. DIR may be a sweep's name."""
    from orchestrator.status import print_status

    with refusals():
        try:
            print_status(_results(directory), _console(), watch=watch)
        except KeyboardInterrupt:
            sys.exit(130)


@main.command()
@click.argument("trial_key", metavar="TRIAL_KEY")
@click.option("--results", metavar="DIR", help="Results folder or sweep.  [default: all in results/]")
def explain(trial_key: str, results: str | None) -> None:
    """All that is known of one trial: what it was, its mask, its record, its error, how to run it alone.

    The start of a key is enough if no other begins so.
    """
    from orchestrator import explain as lamp

    with refusals():
        lamp.explain(lamp.find(trial_key, _folders(results)), _console())


@main.command(name="run-trial")
@click.argument("trial_key", metavar="TRIAL_KEY")
@click.option("--results", metavar="DIR", help="Results folder or sweep.  [default: all in results/]")
@click.option("--pdb", is_flag=True, help="Open Python's debugger where an exception is raised.")
@click.option("--commit", is_flag=True, help="Write the record if the trial has none.")
def run_trial(trial_key: str, results: str | None, pdb: bool, commit: bool) -> None:
    """Run one trial in this process, print its rows and compare them with its record, bit by bit."""
    from orchestrator import explain as lamp

    with refusals():
        found = lamp.find(trial_key, _folders(results))
        sys.exit(lamp.run_alone(found, _console(), debug=pdb, commit=commit))


@main.command(name="check-method")
@click.argument("target", metavar="MODULE:CLASS|FILE.py|NAME")
@click.option(
    "--params", metavar="JSON", help="Constructor parameters, such as '{\"epochs\": 2}', to be quick."
)
def check_method(target: str, params: str | None) -> None:
    """Try every promise of the imputers' contract on small built-in tables: ok, failed or skipped.

    Exit status 0 if none failed, 1 if one did, 2 if the method cannot be imported or built.
    """
    from orchestrator import check

    with refusals():
        sys.exit(check.check_all(target, params, _console()))


@main.command()
@click.argument("directory", metavar="[DIR]", default="quick")
@click.option("--serve", is_flag=True, help="Show the page on this machine, loaded anew as records come in.")
@click.option(
    "--port", type=int, metavar="N", help="With --serve: where; 0 is any free one.  [default: 8642]"
)
def report(directory: str, serve: bool, port: int | None) -> None:
    """Print the results in DIR and write report.html and report.md there. DIR may be a sweep's name.

    With --serve nothing is written: a page at a local address follows a sweep that still runs, until Ctrl-C.
    """
    from orchestrator import runner
    from orchestrator import serve as server

    with refusals():
        if port is not None and not serve:
            raise RequestError("--port tells --serve where to listen: add --serve")
        if not serve:
            runner.print_report(_results(directory), _console())
        elif is_url(directory):
            raise RequestError(f"--serve follows a folder on this machine, and {directory!r} is a bucket")
        else:
            try:
                server.serve(_results(directory), _console(), port=server.PORT if port is None else port)
            except KeyboardInterrupt:
                sys.exit(130)


@main.command()
@click.argument("directory", metavar="[DIR]", default="quick")
def compact(directory: str) -> None:
    """Merge the many files of the records in DIR into one, which is read at once. DIR may be a sweep's name.

    A sweep does so by itself where there are more than a thousand. It may go on meanwhile.
    """
    from orchestrator import runner

    with refusals():
        runner.compact(directory if is_url(directory) else _results(directory), _console())


@main.command()
@click.argument("names", nargs=-1, metavar="[DATASET]...")
def fetch(names: tuple[str, ...]) -> None:
    """Download and verify the raw files of datasets (default: all), so that later runs need no network."""
    console = _console()
    with refusals():
        chosen = [datasets.resolve(name) for name in names] or datasets.names()
    failed = 0
    for name in chosen:
        try:
            paths = datasets.fetch(name)
        except (ValueError, OSError, datasets.FetchError) as error:
            failed += 1
            console.print(f"[red]{name}: {escape(str(error))}[/red]", soft_wrap=True)
        else:
            console.print(
                f"{name}: {', '.join(map(str, paths)) or 'comes with scikit-learn'}", soft_wrap=True
            )
    sys.exit(1 if failed else 0)


main.add_command(impute)


@main.command(name="list")
@click.argument("what", metavar="[WHAT]", default="all")
@click.argument("source", metavar="[SWEEP]", default="quick")
def list_(what: str, source: str) -> None:
    """Show datasets, methods, mechanisms, protocols or sweeps (default: all); or masks, those of SWEEP.

    For each table, mechanism and ratio of the sweep, `list masks` draws the mask of its first seed and shows
    what it hides and how well the values left to see foretell the holes: 0.5 is chance, as under MCAR.
    """
    console = _console()
    if what == "masks":
        with refusals():
            console.print(listing.masks(Sweep.load(source)))
        return
    if what != "all" and what not in listing.LISTS:
        raise Refusal(str(methods.UnknownNameError("list", what, [*listing.LISTS, "masks"])))
    for name, make in listing.LISTS.items():
        if what in ("all", name):
            console.print(make())
            console.print()


def _results(directory: str) -> Path:
    """The results folder of this path, of this URL (a copy), or of the sweep with this name."""
    if is_url(directory):
        return Store(directory).fetch()
    for path in (Path(directory), RESULTS / directory):
        if os.path.isdir(path / "records"):  # noqa: PTH112 - Path's raises where the name is too long
            return path
    folders = sorted(path.parent.name for path in RESULTS.glob("*/records"))
    near = difflib.get_close_matches(directory, folders, n=3) or folders
    hint = f"there are results of {', '.join(near)}" if near else "run a sweep first"
    raise RequestError(f"no results in {directory!r} or {str(RESULTS / directory)!r}: {hint}")


def _folders(directory: str | None) -> list[Path]:
    """The results folder that was named, or all there are."""
    return [_results(directory)] if directory else sorted(path.parent for path in RESULTS.glob("*/records"))


def _share(name: str, text: str | None) -> float:
    try:
        share = float(text or 0)
    except ValueError:
        raise RequestError(f"{name}={text!r} is not a number in [0, 1]") from None
    if not 0 <= share <= 1:
        raise RequestError(f"{name}={share:g} is not in [0, 1]: it is a share of the attempts")
    return share


def _console() -> Console:
    """Standard output; in a log, wide enough for a leaderboard."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=LOG_WIDTH)
