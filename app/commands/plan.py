"""`driftline plan`: which changes are found at a rate of predictions, and how soon, before there is data."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.options import AsJson, CommandError, ConfigFile, existing, print_json, print_table

Rate = Annotated[str, typer.Option(help="Predictions per s, min, h or d: 80/h.")]
Features = Annotated[int, typer.Option(min=1, help="Features of the model.")]
ReferenceRows = Annotated[int, typer.Option("--reference-rows", min=1, help="Rows of the reference.")]
Truth = Annotated[float, typer.Option(min=0.0, max=1.0, help="The share of predictions whose truth comes.")]
Accuracy = Annotated[float, typer.Option(min=0.0, max=1.0, help="The accuracy on the reference.")]


def plan(
    rate: Rate,
    features: Features = 15,
    reference_rows: ReferenceRows = 10_000,
    truth: Truth = 1.0,
    accuracy: Accuracy = 0.9,
    config: ConfigFile = None,
    json_: AsJson = False,
) -> None:
    """Show which changes are found at a rate of predictions, and how soon. Kafka is not needed.

    Each change is found within its time in 9 of 10 cases, by the rules of the newest panes, if rows are independent.
    With a reference that has times, driftline register shows more.

    \b
    Examples:
      driftline plan --rate 80/h --features 15
      driftline plan --rate 20/s --features 40 --config monitoring.json --json
    """
    from app.core.plan import Load, plan_of
    from app.registration.planning import PLAN_HEADER, RateError, plan_notes, plan_rows, rate_of, rate_words
    from app.registration.setup import read_monitoring

    try:
        per_second = rate_of(rate)
    except RateError as error:
        raise CommandError(f"--rate: {error}") from None
    monitoring = read_monitoring(None if config is None else existing(config)).monitoring
    found = plan_of(Load(per_second, features + 2, reference_rows, truth, accuracy), monitoring)
    if json_:
        print_json(found)
        return
    print(f"{rate_words(per_second)}, {features} features, a reference of {reference_rows:,} rows")
    if found.found:
        print_table(PLAN_HEADER, plan_rows(found))
    for line in plan_notes(found, monitoring):
        print(line)
