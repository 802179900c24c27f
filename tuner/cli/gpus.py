"""`tuner gpus`: the GPUs that plans can be made for."""

import typer

from tuner.cli.options import Json

_GIB = 2**30


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gpus", epilog="Example: tuner gpus --json")(gpus)


def gpus(*, as_json: Json = False) -> None:
    """List the GPUs that `tuner plan --gpu` knows, with the source of each figure. Rates are dense ones."""
    from tuner.cli.console import print_json, stdout
    from tuner.cli.tables import plain_table
    from tuner.cli.text import figure_text
    from tuner.devices.catalogue import devices

    if as_json:
        print_json([device.model_dump(mode="json") for device in devices().values()])
        return
    table = plain_table("gpu", "memory", "bandwidth", "bf16", "fp8", "cc", "what it is", "sources")
    for device in devices().values():
        table.add_row(
            device.name,
            f"{device.memory_bytes / _GIB:.2f} GiB",
            f"{device.bandwidth / 1e9:,.0f} GB/s",
            figure_text(device.bf16_flops and device.bf16_flops / 1e12, ",.4g", " TFLOP/s"),
            figure_text(device.fp8_flops and device.fp8_flops / 1e12, ",.4g"),
            device.capability or "",
            device.title,
            "; ".join(device.sources),
        )
    stdout().print(table)
