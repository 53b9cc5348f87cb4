"""Data sets, one a file, each with ``train``, ``validation`` and ``test`` splits of one interface.

Names are loaded when first used, so importing the package costs nothing. Readers for event files
are in :mod:`spikewright.data.events`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikewright.data.audio_folder import AudioFolder as AudioFolder
    from spikewright.data.babi import Babi as Babi
    from spikewright.data.cifar10 import CIFAR10 as CIFAR10
    from spikewright.data.cifar10 import CIFAR10First4000 as CIFAR10First4000
    from spikewright.data.cochlea import Cochlea as Cochlea
    from spikewright.data.ecg import ECG200 as ECG200
    from spikewright.data.ecg import ECG5000 as ECG5000
    from spikewright.data.ecg import ECGRecord100 as ECGRecord100
    from spikewright.data.emnist import EMNIST as EMNIST
    from spikewright.data.esc10 import ESC10 as ESC10
    from spikewright.data.esc10 import AmbientScenes as AmbientScenes
    from spikewright.data.fashion_mnist import FashionMNIST as FashionMNIST
    from spikewright.data.free_spoken_digits import FreeSpokenDigits as FreeSpokenDigits
    from spikewright.data.keywords import Keywords as Keywords
    from spikewright.data.mnist import MNIST as MNIST
    from spikewright.data.nmnist import NMNIST as NMNIST
    from spikewright.data.registry import DATASETS as DATASETS
    from spikewright.data.registry import dataset_class as dataset_class
    from spikewright.data.registry import fetch as fetch
    from spikewright.data.registry import info as info
    from spikewright.data.registry import verify as verify
    from spikewright.data.shd import SHD as SHD
    from spikewright.data.shd import SSC as SSC
    from spikewright.data.speech_commands import SpeechCommands as SpeechCommands
    from spikewright.data.spike_patterns import SpikePatterns as SpikePatterns
    from spikewright.data.split import DataSet as DataSet
    from spikewright.data.split import Split as Split
    from spikewright.data.spoken_digit_spikes import SpokenDigitSpikes as SpokenDigitSpikes
    from spikewright.data.spoken_digits import SpokenDigits as SpokenDigits
    from spikewright.data.store import data_folder as data_folder
    from spikewright.data.yin_yang import YinYang as YinYang

EXPORTS = {
    "Babi": "babi",
    "YinYang": "yin_yang",
    "MNIST": "mnist",
    "FashionMNIST": "fashion_mnist",
    "EMNIST": "emnist",
    "FreeSpokenDigits": "free_spoken_digits",
    "SpokenDigitSpikes": "spoken_digit_spikes",
    "CIFAR10": "cifar10",
    "CIFAR10First4000": "cifar10",
    "Cochlea": "cochlea",
    "SHD": "shd",
    "SSC": "shd",
    "NMNIST": "nmnist",
    "SpikePatterns": "spike_patterns",
    "ECGRecord100": "ecg",
    "ECG5000": "ecg",
    "ECG200": "ecg",
    "AudioFolder": "audio_folder",
    "AmbientScenes": "esc10",
    "ESC10": "esc10",
    "Keywords": "keywords",
    "SpeechCommands": "speech_commands",
    "SpokenDigits": "spoken_digits",
    "DATASETS": "registry",
    "dataset_class": "registry",
    "fetch": "registry",
    "info": "registry",
    "verify": "registry",
    "DataSet": "split",
    "Split": "split",
    "data_folder": "store",
}


def __getattr__(name: str) -> Any:
    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *EXPORTS])
