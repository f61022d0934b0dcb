"""`distance_box_iou_loss`, where torchvision has it."""
from .iou_losses import distance_box_iou_loss

__all__ = ["distance_box_iou_loss"]
