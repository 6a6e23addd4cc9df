"""From videos to landmarks, as those of the Kaggle sets were made: MediaPipe Holistic, 543 points a frame.

`holistic.py` alone imports MediaPipe and OpenCV, which live in an environment of their own. A video is first looked
through, so that what is wrong with one is said before the work begins, and progress knows how many frames there are.
"""
