"""`complete_box_iou_loss`, where torchvision has it."""
from .iou_losses import complete_box_iou_loss

__all__ = ["complete_box_iou_loss"]
