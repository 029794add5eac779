"""``torchml-core train``: from a file of structures to a portable model."""

import click


@click.command("train")
@click.argument("config", type=click.Path())
@click.option("--output", metavar="FOLDER", help="Instead of the folder that CONFIG names.")
@click.option("--time-limit", metavar="TIME", help='For everything, such as "5 min" or 300.')
@click.option("--seed", type=click.IntRange(min=0), help="Instead of that of CONFIG.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="[default: as many as useful, up to all cores]"
)
@click.option("--device", help="For networks: cpu, cuda, cuda:1, or auto. [default: cpu]")
@click.option("--resume", is_flag=True, help="Go on with a run that has been interrupted.")
@click.option(
    "--print-config",
    is_flag=True,
    help="Print all settings with their defaults, in YAML, and do nothing else.",
)
@click.pass_context
def command(ctx, config, resume, print_config, output, **given):
    """Train a model as CONFIG, a file in YAML, says.

    \b
    data: {train: structures.extxyz}
    output: FOLDER

    is enough: FOLDER/model is then a portable model, and FOLDER/report.md tells its errors. It is
    there as soon as a linear model has been fitted, and is replaced by better ones until the time
    limit, 5 minutes by default. Paths in CONFIG are relative to its folder.
    """
    import time

    began = time.monotonic()  # importing torch takes a while
    from torchml_core.training.run.settings import read_settings

    if output is not None:
        from pathlib import Path

        output = str(Path(output).absolute())
    settings = read_settings(config, output=output, **given)
    if print_config:
        click.echo(settings.text(), nl=False)
        return
    from torchml_core.training.run.pipeline import train

    try:
        train(settings, resume=resume, began=began)
    except KeyboardInterrupt:
        model = settings.path(settings.output) / "model"
        there = "no model has been fitted yet"
        if model.exists():
            there = f"{model} has the best model so far"
        click.echo(f"\ninterrupted: {there}; --resume goes on from here", err=True)
        ctx.exit(130)
