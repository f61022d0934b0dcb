"""`generalized_box_iou_loss`, where torchvision has it."""
from .iou_losses import generalized_box_iou_loss

__all__ = ["generalized_box_iou_loss"]
