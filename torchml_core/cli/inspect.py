"""``torchml-core inspect``: what a model or one of its files is, and everything wrong with it."""

import click


@click.command("inspect")
@click.argument("path", type=click.Path())
@click.option(
    "--kind",
    help="What the .dat file describes: SymmetryFunctions, ...; it does not say so itself. "
    "[default: every kind is tried]",
)
@click.option(
    "--run",
    is_flag=True,
    help="Load the model of a folder and evaluate a small crystal with it: this runs its code.",
)
@click.option(
    "--device", help="With --run: a torch device [default: $KIM_MODEL_EXECUTION_DEVICE, or cpu]."
)
@click.option(
    "--trust", is_flag=True, help="With --run: let the model's file do whatever a program may."
)
@click.pass_context
def command(ctx, path, kind, run, device, trust):
    """What PATH is, and everything that is wrong with it.

    PATH is the folder of a portable model, or one of its files: .param, .dat, .pt or .pt2. Files
    are read, and nothing in them is run, so this is safe with files of any origin; --run runs the
    model of a folder too.

    The exit code is 1 if anything is wrong. Notes are not faults: they say what to look at.
    """
    from torchml_core.cli.inspect_path import look_into

    findings = look_into(path, kind=kind, run=run, device=device, trust=trust)
    for line in findings.lines():
        click.echo(line)
    if findings.problems:
        ctx.exit(1)
