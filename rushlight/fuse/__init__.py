"""Stream to program: a path of instructions and the liveness of its slots come in, an ordered list of launches with a
buffer plan goes out.

`group` decides which instructions share a kernel (the rule table is there), `loopspec` turns a group into a LoopSpec
and its static block, `plan` puts everything in order and gives temporary results a place. Nothing here runs anything.
"""
