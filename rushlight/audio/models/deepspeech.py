"""DeepSpeech (Hannun et al. 2014, arXiv:1412.5567)."""

from ... import nn
from ...nn import functional as nnf

CLIP = 20


class FullyConnected(nn.Module):
    """A linear layer, a clipped rectifier and dropout."""

    def __init__(self, n_feature, n_hidden, dropout, relu_max_clip=CLIP):
        super().__init__()
        self.fc = nn.Linear(n_feature, n_hidden)
        self.relu_max_clip, self.dropout = relu_max_clip, dropout

    def forward(self, x):
        return nnf.dropout(self.fc(x).clamp(0, self.relu_max_clip), self.dropout, self.training)


class DeepSpeech(nn.Module):
    """Features (N, 1, time, n_feature) → log-probabilities (N, time, n_class), by a recurrence in both directions."""

    def __init__(self, n_feature, n_hidden=2048, n_class=40, dropout=0.0):
        super().__init__()
        self.n_hidden = n_hidden
        self.fc1 = FullyConnected(n_feature, n_hidden, dropout)
        self.fc2 = FullyConnected(n_hidden, n_hidden, dropout)
        self.fc3 = FullyConnected(n_hidden, n_hidden, dropout)
        self.bi_rnn = nn.RNN(n_hidden, n_hidden, num_layers=1, nonlinearity="relu", bidirectional=True)
        self.fc4 = FullyConnected(n_hidden, n_hidden, dropout)
        self.out = nn.Linear(n_hidden, n_class)

    def forward(self, x):
        x = self.fc3(self.fc2(self.fc1(x))).squeeze(1).transpose(0, 1)
        x, _ = self.bi_rnn(x)
        x = self.fc4(x[:, :, :self.n_hidden] + x[:, :, self.n_hidden:])
        return nnf.log_softmax(self.out(x).permute(1, 0, 2), dim=2)
