"""The cost model of docs/scaling.md: `python -m benchmarks.scaling --gpu_images_per_s=1000`.

What a step costs as devices are added, from figures of one device. Sizes (gradients, layers, draws) are counted
on the system itself; times come in as flags, so that anyone can put in their own.
"""

from __future__ import annotations

import dataclasses
import math

from hpe.options import option


@dataclasses.dataclass(frozen=True)
class ScalingConfig:
    """Figures of one device, of its host and of the network between them; names are flag names."""

    devices: tuple[str, ...] = option(("1", "2", "8", "16", "64", "256", "1000"), "Numbers of devices.")
    devices_per_worker: int = option(8, "Devices that one process drives, inside one machine.")
    batch_per_device: int = option(64, "Images per device and step.")
    gpu_images_per_s: float = option(1000.0, "Images/s of forward, backward and update on one device.")
    cores_per_device: float = option(16.0, "Processor cores that feed one device.")
    input_us: float = option(580.0, "Processor time per image of the input pipeline, microseconds.")
    search_us: float = option(700.0, "Processor time per image of the silhouette's search, microseconds.")
    read_us: float = option(6.0, "Time to read one record and pass it over, microseconds.")
    dealt: bool = option(
        True,
        "Record files are dealt out to workers; else every worker reads all records and decodes its own.",
    )
    record_kilobytes: float = option(25.0, "Bytes of one record, thousands.")
    machine_gigabytes_per_s: float = option(300.0, "Bandwidth between the devices of a machine, per device.")
    network_gigabytes_per_s: float = option(25.0, "Bandwidth between machines, per device.")
    machine_latency_us: float = option(15.0, "Time of the smallest all-reduce inside a machine.")
    network_latency_us: float = option(30.0, "Time added per doubling of the number of machines.")
    encoder: str = option("ResNet50", "Encoder whose gradients and normalisations are counted.")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What travels and what is drawn.

    Attributes:
        gradient_bytes: float32 gradients of all networks.
        small_reductions: all-reduces of a few numbers per step.
        draws_per_image: random numbers per image, which every device draws for the whole batch.
    """

    gradient_bytes: int
    small_reductions: int
    draws_per_image: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """One step on n devices, seconds of each part, and what it yields."""

    devices: int
    compute: float
    host: float
    reading: float
    gradients: float
    small: float
    images_per_s: float
    efficiency: float
    draw_bytes: float
    read_gigabytes_per_s: float

    @property
    def binds(self) -> str:
        """The largest part."""
        parts = {
            "device": self.compute,
            "host (decoding, search)": self.host,
            "reading records": self.reading,
            "gradients": self.gradients,
            "small all-reduces": self.small,
        }
        return max(parts, key=parts.get)


def count_sizes(encoder: str) -> Sizes:
    """Counts on the system itself, all losses and critic on."""
    from hpe.body.data import load_body_model
    from hpe.systems.hybrid_hmr import HybridHmr, HybridHmrConfig

    config = HybridHmrConfig(encoder=encoder, encoder_weights="none", use_mesh_repro_loss=True)
    system = HybridHmr(config, load_body_model(), image_size=224)
    variables = [variable for optimizer in system.optimizers.values() for variable in optimizer.variables]
    weights = sum(math.prod(variable.shape) for variable in variables)
    normalizations = sum(variable.path.endswith("moving_mean") for variable in system.non_trainable_variables)
    hidden = sum(system.regressor.hidden_units)
    stages = system.regressor.num_stages
    # Keras adds up sums, squares and counts of a normalisation one by one, and two gradients on the way back.
    # Beside them: counts of the losses and scalars, of generator and critic, and whether anyone wants to stop.
    return Sizes(4 * weights, 5 * normalizations + 6, stages * (hidden + 11))


def cost(number: int, config: ScalingConfig, sizes: Sizes) -> Cost:
    """Returns what a step costs on `number` devices, nothing overlapping but host and device."""
    images, micro = config.batch_per_device, 1e-6
    machines = math.ceil(number / config.devices_per_worker)
    compute = images / config.gpu_images_per_s
    host = images * (config.input_us + config.search_us) * micro / config.cores_per_device
    # Reading one's own records is part of the input's time; the others' are passed over.
    shared = machines > 1 and not config.dealt
    reading = number * images * config.read_us * micro if shared else 0.0
    gradients = small = 0.0
    if number > 1:
        bandwidth = config.network_gigabytes_per_s if machines > 1 else config.machine_gigabytes_per_s
        latency = config.machine_latency_us + config.network_latency_us * math.log2(machines)
        gradients = 2 * (number - 1) / number * sizes.gradient_bytes / (bandwidth * 1e9) + latency * micro
        small = sizes.small_reductions * latency * micro
    step = max(compute, host, reading) + gradients + small
    rate = number * images / step
    alone = images / max(compute, host)
    return Cost(
        number,
        compute,
        host,
        reading,
        gradients,
        small,
        rate,
        rate / (number * alone),
        4.0 * number * images * sizes.draws_per_image,
        rate * config.record_kilobytes * 1e-6 / (1 if shared else machines),
    )


def table(costs: list[Cost]) -> str:
    """Returns the Markdown table of docs/scaling.md; times in milliseconds."""
    head = "devices|device|host|reading|gradients|small|images/s|efficiency|draws|read per worker|binds"
    lines = [head.split("|"), ["---"] * 11]
    for item in costs:
        times = (item.compute, item.host, item.reading, item.gradients, item.small)
        lines.append(
            [
                str(item.devices),
                *(f"{1000 * seconds:.3g} ms" for seconds in times),
                f"{item.images_per_s:,.0f}",
                f"{100 * item.efficiency:.0f} %",
                f"{item.draw_bytes / 1e6:.3g} MB",
                f"{item.read_gigabytes_per_s:.2g} GB/s",
                item.binds,
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Prints the sizes and the table."""
    from hpe.programs import flags

    config = flags.read(ScalingConfig)
    sizes = count_sizes(config.encoder)
    print(
        f"{sizes.gradient_bytes / 1e6:.0f} MB of gradients, {sizes.small_reductions} small all-reduces per step, "
        f"{sizes.draws_per_image} random numbers per image\n"
    )
    print(table([cost(int(number), config, sizes) for number in config.devices]))


if __name__ == "__main__":
    from hpe.programs import flags as program_flags
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()
    program_flags.define(ScalingConfig)
    program_flags.run(main)
