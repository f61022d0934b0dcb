"""Beam search for transducers: the most probable sequences of symbols for a sound."""

import math
from typing import List, Tuple

from ... import api as rl
from ... import nn

# (symbols, the predictor's result, the predictor's state, log-probability)
Hypothesis = Tuple[List[int], rl.Tensor, List[List[rl.Tensor]], float]


def _mean_score(hypothesis):
    return hypothesis[3] / (len(hypothesis[0]) + 1)


class RNNTBeamSearch(nn.Module):
    """Find hypotheses (symbols, predictor's result, predictor's state, log-probability).

    Args:
        model (RNNT): the transducer; blank (int): its symbol without sound, the last one.
        temperature (float): divides scores before their softmax.
        hypo_sort_key (callable, optional): rates hypotheses; log-probability by length by default.
        step_max_tokens (int): symbols at one time step, at most.
    """

    def __init__(self, model, blank, temperature=1.0, hypo_sort_key=None, step_max_tokens=100):
        super().__init__()
        self.model, self.blank, self.temperature = model, blank, temperature
        self.hypo_sort_key = _mean_score if hypo_sort_key is None else hypo_sort_key
        self.step_max_tokens = step_max_tokens

    def _predict(self, tokens, states):
        """The predictor's results for one symbol each, and states that can be taken apart again."""
        column = rl.tensor([[token] for token in tokens])
        found, _, states = self.model.predict(column, rl.ones(len(tokens), dtype=rl.int64), states)
        apart = [[[part[i:i + 1] for part in layer] for layer in states] for i in range(len(tokens))]
        return [row.detach() for row in found], apart

    def _log_probabilities(self, encoding, hypotheses):
        """(hypotheses, symbols) at a time step."""
        predicted = rl.stack([h[1] for h in hypotheses])
        one = rl.ones(len(hypotheses), dtype=rl.int64)
        scores, _, _ = self.model.join(encoding, one[:1], predicted, one)
        return (scores / self.temperature).log_softmax(3)[:, 0, 0]

    @staticmethod
    def _with_blank(done, open_, scores):
        """Hypotheses that end the time step, the least probable first; equal symbols are one hypothesis."""
        for hypothesis, blank in zip(open_, scores[:, -1].tolist()):
            key, score = tuple(hypothesis[0]), hypothesis[3] + blank
            if key in done:
                score = max(score, done[key][3]) + math.log1p(math.exp(-abs(score - done.pop(key)[3])))
            done[key] = (*hypothesis[:3], score)
        ranked = sorted(done.items(), key=lambda item: item[1][3])
        done.clear()
        done.update(ranked)

    def _extended(self, done, open_, scores, width):
        """The best hypotheses with one symbol more, as far as they beat those that end the time step."""
        totals = rl.tensor([[h[3]] for h in open_]) + scores[:, :-1]
        best, places = totals.reshape(-1).topk(width)
        ended = list(done.values())
        limit = ended[-width][3] if len(ended) >= width else -math.inf
        found = [(*divmod(place, totals.shape[1]), score)
                 for place, score in zip(places.tolist(), best.tolist()) if score > limit]
        if not found:
            return []
        bases = [open_[number] for number, _, _ in found]
        layers = range(len(bases[0][2]))
        states = [[rl.cat(parts) for parts in zip(*[base[2][layer] for base in bases])] for layer in layers]
        predicted, states = self._predict([token for _, token, _ in found], states)
        return [(base[0] + [token], result, state, score)
                for base, (_, token, score), result, state in zip(bases, found, predicted, states)]

    def _search(self, encodings, hypotheses, width):
        if hypotheses is None:
            predicted, states = self._predict([self.blank], None)
            hypotheses = [([self.blank], predicted[0], states[0], 0.0)]
        for t in range(encodings.shape[1]):
            open_, done = hypotheses, {}
            for step in range(self.step_max_tokens + 1):
                scores = self._log_probabilities(encodings[:, t:t + 1], open_).cpu()
                self._with_blank(done, open_, scores)
                open_ = self._extended(done, open_, scores, width) if step < self.step_max_tokens else []
                if not open_:
                    break
            hypotheses = sorted(done.values(), key=self.hypo_sort_key, reverse=True)[:width]
        return hypotheses

    @staticmethod
    def _checked(input, length):
        if input.dim() == 2:
            input = input.unsqueeze(0)
        if input.dim() != 3 or input.shape[0] != 1:
            raise ValueError("input must be of shape (T, D) or (1, T, D)")
        if tuple(length.shape) not in ((), (1,)):
            raise ValueError("length must be of shape () or (1,)")
        return input, length.reshape(1)

    def forward(self, input, length, beam_width):
        """The `beam_width` best hypotheses for features (T, D) or (1, T, D), the best first."""
        encodings, _ = self.model.transcribe(*self._checked(input, length))
        return self._search(encodings, None, beam_width)

    def infer(self, input, length, beam_width, state=None, hypothesis=None):
        """As `forward` for the next segment of a stream: (hypotheses, state of the encoder)."""
        encodings, _, state = self.model.transcribe_streaming(*self._checked(input, length), state)
        return self._search(encodings, hypothesis, beam_width), state
