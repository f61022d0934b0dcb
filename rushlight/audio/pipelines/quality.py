"""Published models that separate sources or estimate the quality of speech."""

import dataclasses
import functools
from typing import Any, Callable

from ...serialization import load
from ..models import conv_tasnet_base, hdemucs_high, squim_objective_base, squim_subjective_base
from ..utils import _download_asset


def ready(model, asset):
    """A model with the weights of an asset, in evaluation mode."""
    model.load_state_dict(load(_download_asset(asset), weights_only=True))
    return model.eval()


@dataclasses.dataclass
class SourceSeparationBundle:
    """A published model that separates sources."""

    _model_path: str
    _model_factory_func: Callable[[], Any]
    _sample_rate: int

    @property
    def sample_rate(self):
        """The sample rate of the sounds that the model takes, in Hz."""
        return self._sample_rate

    def get_model(self):
        """Build the model, load its weights and put it into evaluation mode."""
        return ready(self._model_factory_func(), self._model_path)


SOURCES = ["drums", "bass", "other", "vocals"]
CONVTASNET_BASE_LIBRI2MIX = SourceSeparationBundle(
    "models/conv_tasnet_base_libri2mix.pt", functools.partial(conv_tasnet_base, num_sources=2), 8000)
HDEMUCS_HIGH_MUSDB_PLUS = SourceSeparationBundle(
    "models/hdemucs_high_trained.pt", functools.partial(hdemucs_high, sources=SOURCES), 44100)
HDEMUCS_HIGH_MUSDB = SourceSeparationBundle(
    "models/hdemucs_high_musdbhq_only.pt", functools.partial(hdemucs_high, sources=SOURCES), 44100)


@dataclasses.dataclass
class SquimObjectiveBundle:
    """A published model that estimates STOI, PESQ and SI-SDR."""

    _path: str
    _sample_rate: float

    @property
    def sample_rate(self):
        """The sample rate of the sounds that the model takes, in Hz."""
        return self._sample_rate

    def get_model(self):
        """Build the model, load its weights and put it into evaluation mode."""
        return ready(squim_objective_base(), f"models/{self._path}")


@dataclasses.dataclass
class SquimSubjectiveBundle:
    """A published model that estimates opinion scores."""

    _path: str
    _sample_rate: float

    @property
    def sample_rate(self):
        """The sample rate of the sounds that the model takes, in Hz."""
        return self._sample_rate

    def get_model(self):
        """Build the model, load its weights and put it into evaluation mode."""
        return ready(squim_subjective_base(), f"models/{self._path}")


SQUIM_OBJECTIVE = SquimObjectiveBundle("squim_objective_dns2020.pth", 16000)
SQUIM_SUBJECTIVE = SquimSubjectiveBundle("squim_subjective_bvcc_daps.pth", 16000)
