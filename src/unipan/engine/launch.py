"""The processes of a run: one or many, CPU or GPU, this machine or several."""

from lightning_fabric import Fabric

__all__ = ["Fabric", "launch"]


def launch(accelerator: str = "auto", devices: int = 1, num_nodes: int = 1) -> Fabric:
    """Start the processes (by running the same command again, or as torchrun has); each of them returns from here."""
    several = devices * num_nodes > 1
    fabric = Fabric(
        accelerator=accelerator, devices=devices, num_nodes=num_nodes, strategy="ddp" if several else "auto"
    )
    fabric.launch()
    return fabric
