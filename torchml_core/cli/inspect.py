"""``torchml-core inspect``: what a model or one of its files is, and everything wrong with it."""

import click


@click.command("inspect")
@click.argument("path", type=click.Path())
@click.option(
    "--kind",
    help="What the .dat file describes: SymmetryFunctions, ...; it does not say so itself. "
    "[default: every kind is tried]",
)
@click.option("--device", help="A torch device [default: $KIM_MODEL_EXECUTION_DEVICE, or cpu].")
@click.pass_context
def command(ctx, path, kind, device):
    """What PATH is, and everything that is wrong with it.

    PATH is the folder of a portable model, or one of its files: .param, .dat, .pt or .pt2. A
    model in a folder is tried on a small crystal too.

    The exit code is 1 if anything is wrong. Notes are no faults: they say what to look at.
    """
    from torchml_core.cli.inspect_path import look_into

    findings = look_into(path, kind=kind, device=device)
    for line in findings.lines():
        click.echo(line)
    if findings.problems:
        ctx.exit(1)
