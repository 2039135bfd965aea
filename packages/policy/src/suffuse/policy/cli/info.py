"""`info`: what demonstrations or a model are, and what is wrong with them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from suffuse.policy.cli.app import app
from suffuse.policy.data import examine, format_of, read_demonstrations
from suffuse.policy.data.report import Report
from suffuse.policy.describe import describe_model


def columns_table(report: Report) -> Table:
    """Shape, type and range of every column."""
    made = Table("column", "shape", "type", "lowest", "highest")
    for column in report.columns:
        made.add_row(
            column.name,
            " x ".join(map(str, column.shape)) or "1",
            column.dtype,
            f"{column.low:.4g}",
            f"{column.high:.4g}",
        )
    return made


def show_report(report: Report, console: Console) -> None:
    """A report for people."""
    seconds = f", {report.seconds:.0f} s at {report.fps:g} a second" if report.seconds and report.fps else ""
    console.print(f"{report.episodes:,} episodes, {report.rows:,} rows{seconds}", highlight=False)
    console.print(f"lengths {report.shortest} to {report.longest}, median {report.median:g}", highlight=False)
    if report.env_name:
        console.print(f"made in {report.env_name}", highlight=False, markup=False)
    if report.tasks:
        console.print(f"tasks: {'; '.join(report.tasks)}", highlight=False, markup=False)
    for name, members in report.splits.items():
        console.print(f"split {name}: {members} episodes", highlight=False, markup=False)
    console.print(columns_table(report))
    for finding in report.findings:
        style = "red" if finding.severity == "error" else "yellow"
        console.print(f"{finding.severity.capitalize()}: {finding.text}", style=style, markup=False, highlight=False)
    if not report.findings:
        console.print("Nothing is wrong with them.", highlight=False)


@app.command()
def info(
    data: Annotated[Path | None, typer.Option("--data", help="Demonstrations.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="A model directory or a shipped model.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Describe demonstrations, checking every value, or a model. Exit code 1 if there is an error in the data."""
    if data is None and model is None:
        raise ValueError("say what to describe: --data PATH or --model NAME")
    facts: dict[str, Any] = {}
    report = None
    if data is not None:
        report = examine(read_demonstrations(data))
        facts["data"] = {"path": str(data), "format": format_of(data), **report.to_dict()}
    if model is not None:
        facts["model"] = describe_model(model)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        console = Console(soft_wrap=True)
        if report is not None:
            console.print(f"{data}: {facts['data']['format']}", highlight=False, markup=False)
            show_report(report, console)
        for name, value in facts.get("model", {}).items():
            console.print(f"{name}: {value}", highlight=False, markup=False)
    if report is not None and not report.sound:
        raise typer.Exit(1)
