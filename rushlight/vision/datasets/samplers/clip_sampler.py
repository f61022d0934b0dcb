"""Which clips of the videos of a `VideoClips` an epoch shows, and which process shows them."""
import math

from .... import api as rl
from ....utils.data import distributed
from ....utils.data.sampler import Sampler
from ..video import VideoClips

__all__ = ["DistributedSampler", "RandomClipSampler", "UniformClipSampler"]


class DistributedSampler(distributed.DistributedSampler):
    """Every process gets every `num_replicas`-th group of neighbouring indices, as many as all others.

    Args:
        dataset: a sampler, whose indices are shared out, or something with a length.
        num_replicas, rank: number of processes, number of this one (default: of the process group).
        shuffle (bool): whether the order depends on the epoch, see `set_epoch`.
        group_size (int): indices of a group. ValueError unless it divides the length.
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=False, group_size=1):
        super().__init__(dataset, num_replicas, rank, shuffle)
        if len(dataset) % group_size:
            raise ValueError("dataset length must be a multiplier of group size dataset length: "
                             f"{len(dataset)}, group size: {group_size}")
        self.group_size = group_size
        self.num_group_samples = math.ceil(len(dataset) // group_size / self.num_replicas)
        self.num_samples = self.num_group_samples * group_size
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self):
        count = len(self.dataset)
        if self.shuffle:
            indices = rl.randperm(count, generator=rl.Generator().manual_seed(self.epoch)).tolist()
        else:
            indices = list(range(count))
        indices += indices[:self.total_size - count]
        if isinstance(self.dataset, Sampler):
            chosen = list(self.dataset)
            indices = [chosen[i] for i in indices]
        step = self.group_size * self.num_replicas
        return iter([index for start in range(self.rank * self.group_size, len(indices), step)
                     for index in indices[start:start + self.group_size]])


class _ClipSampler(Sampler):
    """A sampler of clips. TypeError unless they are a VideoClips."""

    def __init__(self, video_clips):
        if not isinstance(video_clips, VideoClips):
            raise TypeError(f"Expected video_clips to be an instance of VideoClips, got {type(video_clips)}")
        self.video_clips = video_clips

    def _ranges(self):
        """The indices of the clips of each video."""
        start = 0
        for clips in self.video_clips.clips:
            yield range(start, start + len(clips))
            start += len(clips)


class UniformClipSampler(_ClipSampler):
    """`num_clips_per_video` clips of each video at equal distances; some come twice if a video has fewer."""

    def __init__(self, video_clips, num_clips_per_video):
        super().__init__(video_clips)
        self.num_clips_per_video = num_clips_per_video

    def __iter__(self):
        found = [rl.linspace(clips[0], clips[-1], steps=self.num_clips_per_video).floor().to(rl.int64).tolist()
                 for clips in self._ranges() if clips]
        return iter([index for part in found for index in part])

    def __len__(self):
        return sum([self.num_clips_per_video for clips in self._ranges() if clips])


class RandomClipSampler(_ClipSampler):
    """At most `max_clips_per_video` clips of each video, all in random order."""

    def __init__(self, video_clips, max_clips_per_video):
        super().__init__(video_clips)
        self.max_clips_per_video = max_clips_per_video

    def __iter__(self):
        found = [clips[i] for clips in self._ranges()
                 for i in rl.randperm(len(clips)).tolist()[:self.max_clips_per_video]]
        return iter([found[i] for i in rl.randperm(len(found)).tolist()])

    def __len__(self):
        return sum([min(len(clips), self.max_clips_per_video) for clips in self._ranges()])
