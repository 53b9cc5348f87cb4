"""Train a small network on Yin-Yang and look inside: python examples/first_network.py"""

from __future__ import annotations

import torch

import spikewright as sw


def main(epochs: int = 10, folder: str = "runs/example") -> float:
    torch.manual_seed(0)
    net = sw.Sequential(
        sw.Linear(5, 120),
        sw.CubaLIF(tau_mem=6e-6, tau_syn=6e-6),
        sw.Linear(120, 3),
        sw.CubaLI(tau_mem=6e-6, tau_syn=6e-6),
        dt=1e-6,
    )
    data = sw.data.YinYang()
    rule = sw.learning.Surrogate(learning_rate=5e-3, decoder=sw.coding.Max())
    sw.fit(net, data, rule, epochs=epochs, batch_size=50, folder=folder)
    found = sw.evaluate(net, data.test, rule, classes=3)
    print(f"test accuracy {found.metrics['accuracy']:.1%}")
    print("confusion, rows are targets:", *found.confusion.tolist(), sep="\n  ")
    print(sw.doctor(net, data.test.batch(range(200)), rule))
    print(net.explain(data.test.batch([0])[0]))
    return found.metrics["accuracy"]


if __name__ == "__main__":
    main()
