"""Drawn data sets, in the formats of the real ones: everything can be tried without a download.

    canvas, poses, people, backgrounds    what is drawn
    flic_set                              upper bodies, as FLIC
    whole_bodies                          as LSP, MPII and COCO
    creatures                             beasts that are no humans, for key points of one's own

A picture is a pure function of (seed, index).  The order of the random draws is part of a data set:
another order gives other pictures.
"""
