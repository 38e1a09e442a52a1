"""Train a small convolutional network of PyTorch on pictures of digits, and export it as ONNX."""

import json
import os
from pathlib import Path

import torch
from torch import nn

from colchis_steps.context import from_environment
from colchis_steps.export import from_torch


class Net(nn.Module):
    """Logits of ten digits, of pictures [rows, 8, 8] whose pixels are 0 to 16; ``image`` is the data's column."""

    def __init__(self, classes: int, channels: int) -> None:
        """Make the layers."""
        super().__init__()
        seen = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.layers = nn.Sequential(*seen, nn.Dropout(0.25), nn.Linear(channels * 16, classes))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return [rows, classes]; the scaling is part of the model."""
        logits: torch.Tensor = self.layers(image.float().unsqueeze(1) / 16)
        return logits


def main() -> None:
    """Train epoch by epoch, tell of each, export."""
    context = from_environment()
    torch.manual_seed(context.seed)
    model = Net(len(context.classes), context.hyperparameters.get("channels", 16))
    optimizer = torch.optim.Adam(model.parameters(), 0.005)
    for epoch in range(context.hyperparameters.get("epochs", 10)):
        for block in context.blocks("train", epoch):
            for picture, label in zip(
                *(torch.tensor(block[n]).split(64) for n in ("image", context.label)), strict=True
            ):
                loss = nn.functional.cross_entropy(model(picture), label)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with Path(os.environ["COLCHIS_HISTORY"]).open("a", encoding="utf-8") as history:
            history.write(json.dumps({"epoch": epoch + 1, "train": {"loss": loss.item()}}) + "\n")
    from_torch(model, context.export, context, logits=True)


if __name__ == "__main__":
    main()
