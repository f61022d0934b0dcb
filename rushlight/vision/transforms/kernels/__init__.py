"""What the functions of both generations do to each kind of input.

Read dispatch.py first, then geometry.py and warp.py (images), shapes.py and boxes.py (boxes and points), color.py,
values.py, augment.py, meta.py. Imported as a whole by v2/functional.py, which has all the names.
"""
