"""How sample data are made up: people who fingerspell or sign before a phone, and a tracker that follows them.

    phrases       what is spelled
    signs         what is signed: invented signs
    signers       who spells or signs it, before which phone
    kinematics    joint angles -> the 21 landmarks of a hand
    handshapes    characters -> postures of that hand
    motion        phrase and signer -> the spelling hand in every frame
    signing       sign and signer -> both hands in every frame
    body          the face and body around the hands
    tracker       motion -> the 543 landmarks that a tracker reports, trembling and with gaps
    plan          which clips a dataset holds, and which of them are spoiled
    files         landmarks -> parquet files, wide and long
    samples       what differs from task to task
    random_streams    independent random numbers for each of these

How hard the spelled data are was fixed from what is known of the real set and of people, before anything was trained on
them; no figure below was chosen to make recognition easier or harder. In brackets: what came out, of 3,000 clips by 300
signers. Frames a clip: 160 on average (167), P95 309 (310), P99 401 (411); frames a character: median 8.9 (9.1), P5 2.4
(2.0); characters a phrase: 17.8 (18.1), at most 31; frames without the spelling hand: 40 % (41 %). Few signers differ
from this by chance: with 12, the average was 150 to 161. What is modelled, and the choices:

- **Signers** differ in hand size and proportions, body size, the tilt of the hand, the way they make each character (7
  degrees a joint) and each time they make it (4 degrees more), speed (28 % between signers, 33 % between clips,
  25-45 % between characters), co-articulation, the place of hand and head, framing, the phone's aspect ratio
  (portrait), and how often the tracker loses their hand. Every tenth is left-handed. Six in ten shake the numbers that
  look like a letter; for the others such a pair is ambiguous (`handshapes`).
- **Spelling**: the hand comes up into view, spells, and leaves; the frames before and after show no hand. A character
  is held for a third to two thirds of its time; the joints then go to the next one smoothly, each finger and the palm
  with a lead or lag of its own, and lean a little towards the neighbours. At full speed a posture is not quite reached.
  A doubled character slides outwards or bounces. First and last characters last longer. The hand drifts.
- **The tracker** trembles (1 mm of the hand, twice that in depth, more at the fingertips), and loses the hand in bursts
  of 3.5 frames on average, more readily when it moves fast: about a sixth of the frames between coming up and leaving.
  The other hand is seen in one clip of sixteen, and there briefly. Face and body are seldom lost.
- **Face and body**: the nose, lips and the 33 body points stand where they belong; the other 424 face points fill the
  face in no meaningful order. The head turns and sways; the lips move, but say nothing.
- **Phrases**: names, addresses, telephone numbers and web addresses made by rule from short word lists.
- **Spoiled** clips, a third of them each: `accidental_tap` (a few frames, nothing spelled), `truncated` (the
  recording stops before a third is spelled), `wrong_phrase` (the metadata give another clip's phrase).

Not modelled: fingers that hide each other and mislead the tracker, signs instead of spelling ("dot", "slash"), mistakes
and corrections, a moving camera, regional variants. So figures on these data say that the program works, and how its
parts compare; they do not predict figures on the real set.

Signs come from the same people, hands and tracker. Frames a clip: 51 on average, P5 28, P95 82; a hand is seen in 56 %
of them (of 1,500 clips by 150 signers; in 270 real clips: 33 frames, 65 %). Two figures were changed in view of
results: places were moved apart after a network had confused two of them, and recordings are truncated earlier. What is
modelled, and the choices:

- **A sign** is one of twelve handshapes of the alphabet, or two in turn (35 %); one of six places before face and body;
  one of eleven movements (none, straight, an arc, a circle, to and fro); and one hand (55 %), two that mirror each
  other (30 %), or one that moves while the other is held still (15 %). No two signs share handshapes, place and
  movement; every fourth differs from an earlier one in one of these only.
- **Signers** differ as they do in spelling, and in where each place is (2 cm a direction, and 1 cm each time), in the
  size of movements (20 %, and 15 % each time), and in how often they leave out the second hand (up to 15 %).
- **Spoiled** clips, a third of them each: `accidental_tap`, `truncated` (the recording stops while the hand
  comes up: from a third of a sign most can be told) and `wrong_sign` (the metadata give another one).

Everywhere in this package x points to the right of the image, y up and z to the camera; lengths are in centimetres,
angles in degrees, times in frames. Shape suffixes: T frames, K key postures, A joint angles, C channels, N points.
"""
