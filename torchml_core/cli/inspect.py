"""``torchml-core inspect``: what a model or one of its files is, and everything wrong with it."""

import click


@click.command("inspect")
@click.argument("path", type=click.Path())
@click.option(
    "--kind",
    help="Kind of the descriptor in the .dat file, which does not say it: SymmetryFunctions, ... "
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
    "--trust", is_flag=True, help="With --run: let the model's file do everything a program may."
)
@click.pass_context
def command(ctx, path, kind, run, device, trust):
    """Show what PATH is, and everything that is wrong with it.

    PATH is the folder of a portable model, or one of its files: .param, .dat, .json, .pt or
    .pt2. Files are read but not run, so this is safe with files from any source; --run also runs
    the model of a folder.

    The exit code is 1 if anything is wrong. Notes are not errors: they say what to check.
    """
    from torchml_core.cli.inspect_path import look_into

    findings = look_into(path, kind=kind, run=run, device=device, trust=trust)
    for line in findings.lines():
        click.echo(line)
    if findings.problems:
        ctx.exit(1)
