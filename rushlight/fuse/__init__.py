"""From stream to program: plans a path of instructions as an ordered list of launches with places for all buffers.

`group` decides which instructions share a kernel (the rule table is there), `loopspec` turns a group into a LoopSpec
and its static block, `plan` puts everything in order and gives temporary results a place. Nothing here runs anything.
"""
