"""Data sets of videos, cut into clips of equally many frames: HMDB51, UCF101, Kinetics. Reading needs `av`."""
import bisect
import concurrent.futures
import csv
import glob
import math
import os
import urllib.parse
import warnings

from ... import api as rl
from ..io import read_video, read_video_timestamps
from .folder import find_classes, make_dataset
from .utils import check_integrity, download_and_extract_archive, download_url, verify_str_arg
from .vision import VisionDataset

__all__ = ["HMDB51", "Kinetics", "UCF101", "VideoClips", "unfold"]


def unfold(tensor, size, step, dilation=1):
    """All stretches (N, size) of a one-dimensional tensor's elements: each starts `step` after the one before, and
    takes every `dilation`-th element. ValueError for more dimensions."""
    if tensor.dim() != 1:
        raise ValueError(f"tensor should have 1 dimension instead of {tensor.dim()}")
    reach = dilation * (size - 1) + 1
    if len(tensor) < reach:
        return tensor[:0].reshape(0, size)
    return tensor.unfold(0, reach, step)[:, ::dilation]


class VideoClips:
    """The clips of videos.

    Args:
        video_paths (list of paths): the videos.
        clip_length_in_frames (int): frames of a clip.
        frames_between_clips (int): from the start of a clip to the start of the next.
        frame_rate (float, optional): frames a second that videos are resampled to.
        output_format: "THWC" or "TCHW", the dimensions of clips.
    """

    def __init__(self, video_paths, clip_length_in_frames=16, frames_between_clips=1, frame_rate=None,
                 _precomputed_metadata=None, num_workers=0, output_format="THWC"):
        self.output_format = output_format.upper()
        if self.output_format not in ("THWC", "TCHW"):
            raise ValueError(f"output_format should be either 'THWC' or 'TCHW', got {output_format}.")
        self.num_workers = num_workers
        if _precomputed_metadata is None:
            with concurrent.futures.ThreadPoolExecutor(max(num_workers, 1)) as pool:
                found = list(pool.map(read_video_timestamps, video_paths))
            _precomputed_metadata = {"video_paths": list(video_paths),
                                     "video_pts": [rl.tensor(times, dtype=rl.int64) for times, _ in found],
                                     "video_fps": [rate for _, rate in found]}
        self.metadata = _precomputed_metadata
        self.video_paths = self.metadata["video_paths"]
        self.compute_clips(clip_length_in_frames, frames_between_clips, frame_rate)

    def subset(self, indices):
        """The clips of some of the videos."""
        metadata = {name: [values[i] for i in indices] for name, values in self.metadata.items()}
        return type(self)(metadata["video_paths"], self.num_frames, self.step, self.frame_rate, metadata,
                          self.num_workers, self.output_format)

    @staticmethod
    def compute_clips_for_video(video_pts, num_frames, step, fps, frame_rate=None):
        """The times (N, num_frames) of the frames of a video's clips, and which frames are taken."""
        fps = fps or 1
        frame_rate = frame_rate or fps
        stride = fps / frame_rate
        count = math.floor(len(video_pts) * frame_rate / fps)
        chosen = (rl.arange(count, dtype=rl.float32) * stride).floor().to(rl.int64)
        clips = unfold(video_pts[chosen], num_frames, step)
        if not len(clips):
            warnings.warn("There aren't enough frames in the current video to get a clip for the given clip length and "
                          "frames between clips. The video (and potentially others) will be skipped.", stacklevel=2)
        return clips, unfold(chosen, num_frames, step)

    def compute_clips(self, num_frames, step, frame_rate=None):
        """Cut the videos again."""
        self.num_frames, self.step, self.frame_rate = num_frames, step, frame_rate
        pairs = [self.compute_clips_for_video(times, num_frames, step, fps, frame_rate)
                 for times, fps in zip(self.metadata["video_pts"], self.metadata["video_fps"])]
        self.clips, self.resampling_idxs = [clips for clips, _ in pairs], [frames for _, frames in pairs]
        self.cumulative_sizes, total = [], 0
        for clips in self.clips:
            total += len(clips)
            self.cumulative_sizes.append(total)

    def __len__(self):
        return self.num_clips()

    def num_videos(self):
        """The number of videos."""
        return len(self.video_paths)

    def num_clips(self):
        """The number of clips of all videos."""
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0

    def get_clip_location(self, idx):
        """The number of a clip's video, and its number in that."""
        video = bisect.bisect_right(self.cumulative_sizes, idx)
        return video, idx - (self.cumulative_sizes[video - 1] if video else 0)

    def get_clip(self, idx):
        """(frames, sound, dictionary with `video_fps`, number of the video) of a clip. IndexError past the end."""
        if idx >= self.num_clips():
            raise IndexError(f"Index {idx} out of range ({self.num_clips()} number of clips)")
        video, clip = self.get_clip_location(idx)
        times = self.clips[video][clip]
        frames, sound, info = read_video(self.video_paths[video], int(times[0]), int(times[-1]),
                                         output_format=self.output_format)
        if self.frame_rate is not None:
            chosen = self.resampling_idxs[video][clip]
            frames = frames[chosen - chosen[0]]
            info["video_fps"] = self.frame_rate
        if len(frames) != self.num_frames:
            raise RuntimeError(f"{self.video_paths[video]}: expected {self.num_frames} frames, got {len(frames)}")
        return frames, sound, info, video


class _Videos(VisionDataset):
    """Videos in folders, one for each class, or some of them: (frames, sound, class) of their clips."""

    def _read(self, folder, extensions, transform, frames_per_clip, step_between_clips, frame_rate, metadata,
              num_workers, output_format):
        self.classes, class_to_idx = find_classes(folder)
        self.samples = make_dataset(folder, class_to_idx, extensions)
        paths = [path for path, _ in self.samples]
        self.full_video_clips = VideoClips(paths, frames_per_clip, step_between_clips, frame_rate, metadata,
                                           num_workers, output_format)
        self.indices = self._chosen(paths)
        self.video_clips = self.full_video_clips.subset(self.indices)
        self.transform = transform

    def _chosen(self, paths):
        return list(range(len(paths)))

    @property
    def metadata(self):
        """The times of all frames, for `_precomputed_metadata` of another data set of the same videos."""
        return self.full_video_clips.metadata

    def __len__(self):
        return self.video_clips.num_clips()

    def __getitem__(self, index):
        """(frames, sound, class) of a clip, the frames after the transform."""
        frames, sound, _, video = self.video_clips.get_clip(index)
        if self.transform is not None:
            frames = self.transform(frames)
        return frames, sound, self.samples[self.indices[video]][1]


class HMDB51(_Videos):
    """Movements of people in 51 classes; `annotation_path` is the folder of the lists of the folds."""

    data_url = "https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/hmdb51_org.rar"
    splits = {"url": "https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/test_train_splits.rar",
              "md5": "15e67781e70dcfbdce2d7dbb9b3344b5"}

    def __init__(self, root, annotation_path, frames_per_clip, step_between_clips=1, frame_rate=None, fold=1,
                 train=True, transform=None, _precomputed_metadata=None, num_workers=1, _video_width=0,
                 _video_height=0, _video_min_dimension=0, _audio_samples=0, output_format="THWC"):
        super().__init__(root)
        if fold not in (1, 2, 3):
            raise ValueError(f"fold should be between 1 and 3, got {fold}")
        self.fold, self.train, self._annotations = fold, train, annotation_path
        self._read(self.root, ("avi",), transform, frames_per_clip, step_between_clips, frame_rate,
                   _precomputed_metadata, num_workers, output_format)

    def _chosen(self, paths):
        wanted, names = "1" if self.train else "2", set()
        for path in glob.glob(os.path.join(self._annotations, f"*test_split{self.fold}.txt")):
            with open(path) as file:
                names.update([line.split()[0] for line in file if line.split()[1] == wanted])
        return [i for i, path in enumerate(paths) if os.path.basename(path) in names]


class UCF101(_Videos):
    """Actions of people in 101 classes; `annotation_path` is the folder of the lists of the folds."""

    def __init__(self, root, annotation_path, frames_per_clip, step_between_clips=1, frame_rate=None, fold=1,
                 train=True, transform=None, _precomputed_metadata=None, num_workers=1, _video_width=0,
                 _video_height=0, _video_min_dimension=0, _audio_samples=0, output_format="THWC"):
        super().__init__(root)
        if not 1 <= fold <= 3:
            raise ValueError(f"fold should be between 1 and 3, got {fold}")
        self.fold, self.train, self._annotations = fold, train, annotation_path
        self._read(self.root, ("avi",), transform, frames_per_clip, step_between_clips, frame_rate,
                   _precomputed_metadata, num_workers, output_format)

    def _chosen(self, paths):
        name = f"{'train' if self.train else 'test'}list{self.fold:02d}.txt"
        with open(os.path.join(self._annotations, name)) as file:
            listed = {os.path.join(self.root, *line.split(" ")[0].strip().split("/")) for line in file}
        return [i for i, path in enumerate(paths) if path in listed]


class Kinetics(_Videos):
    """Actions of people in 400, 600 or 700 classes."""

    _TAR_URLS = {
        "400": "https://s3.amazonaws.com/kinetics/400/{split}/k400_{split}_path.txt",
        "600": "https://s3.amazonaws.com/kinetics/600/{split}/k600_{split}_path.txt",
        "700": "https://s3.amazonaws.com/kinetics/700_2020/{split}/k700_2020_{split}_path.txt",
    }
    _ANNOTATION_URLS = {
        "400": "https://s3.amazonaws.com/kinetics/400/annotations/{split}.csv",
        "600": "https://s3.amazonaws.com/kinetics/600/annotations/{split}.csv",
        "700": "https://s3.amazonaws.com/kinetics/700_2020/annotations/{split}.csv",
    }

    def __init__(self, root, frames_per_clip, num_classes="400", split="train", frame_rate=None, step_between_clips=1,
                 transform=None, extensions=("avi", "mp4"), download=False, num_download_workers=1, num_workers=1,
                 _precomputed_metadata=None, _video_width=0, _video_height=0, _video_min_dimension=0,
                 _audio_samples=0, _audio_channels=0, _legacy=False, output_format="TCHW"):
        super().__init__(root)
        self.num_classes = verify_str_arg(num_classes, "num_classes", ["400", "600", "700"])
        self.extensions = extensions
        self.num_download_workers = num_download_workers
        if _legacy and download:
            raise ValueError("Cannot download the videos using legacy_structure.")
        self.split = "unknown" if _legacy else verify_str_arg(split, "split", ["train", "val", "test"])
        self.split_folder = root if _legacy else os.path.join(root, split)
        if download:
            self.download_and_process_videos()
        self._read(self.split_folder, extensions, transform, frames_per_clip, step_between_clips, frame_rate,
                   _precomputed_metadata, num_workers, "THWC" if _legacy else output_format)

    def download_and_process_videos(self):
        """Download the videos of the split, and move them into folders of their classes."""
        if not os.path.exists(self.split_folder):
            self._download_videos()
        self._sort_videos()

    def _download_videos(self):
        url = self._TAR_URLS[self.num_classes].format(split=self.split)
        folder = os.path.join(self.root, "files")
        path = os.path.join(folder, os.path.basename(url))
        if not check_integrity(path):
            download_url(url, folder)
        with open(path) as file:
            urls = [urllib.parse.quote(line, safe="/,:") for line in file.read().splitlines()]

        def fetch(url):
            download_and_extract_archive(url, os.path.join(self.root, "tars"), self.split_folder)
        with concurrent.futures.ThreadPoolExecutor(max(self.num_download_workers, 1)) as pool:
            list(pool.map(fetch, urls))

    def _sort_videos(self):
        folder = os.path.join(self.root, "annotations")
        path = os.path.join(folder, f"{self.split}.csv")
        if not check_integrity(path):
            download_url(self._ANNOTATION_URLS[self.num_classes].format(split=self.split), folder)
        with open(path) as file:
            for row in csv.DictReader(file):
                name = f"{row['youtube_id']}_{int(row['time_start']):06}_{int(row['time_end']):06}.mp4"
                label = row["label"].replace(" ", "_").translate(str.maketrans("", "", "'()"))
                if os.path.basename(name) != name or os.path.basename(label) != label:
                    raise RuntimeError(f"{path}: refusing to move {name!r} to {label!r}")
                os.makedirs(os.path.join(self.split_folder, label), exist_ok=True)
                if os.path.isfile(os.path.join(self.split_folder, name)):
                    os.replace(os.path.join(self.split_folder, name), os.path.join(self.split_folder, label, name))
