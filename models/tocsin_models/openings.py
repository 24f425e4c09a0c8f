# ruff: noqa: E501 - a pattern that is broken over lines can no longer be read or searched for.
"""Whether a sentence starts in mid-air: "He added that …" says nothing to whoever has not read the
sentence before it.

Told by the sentence alone, cased or lower-cased and tokenised, in English. The word lists follow
Halliday and Hasan, "Cohesion in English" (1976): reference (2.3 to 2.5), substitution (3) and conjunction (5).
A sentence that opens with a quotation is in mid-air if "he" said it, or nobody in this sentence.
Precision before recall: a noun phrase that points back ("the attack") is left alone.
"""

import re

# What the reader of the article has already been told of: a person, a thing, a deed.
_PERSON = r"(?:he|she|they)"
_VERB = r"(?:is|are|was|were|has|have|had|will|would|could|should|may|might|must|can|does|did|do|said|says|came|comes|means|meant|makes|made|led|leads|left|follows|followed|includes|included|and|,)"
_APOSTROPHE = r"(?:\s?['’]\s?(?:s|d|ll|re|ve|m))"
# "This week", "those who fled", "that the army …" point at nothing that was said before.
_NOT_SAID_BEFORE = r"(?:week|weekend|month|year|morning|afternoon|evening|night|summer|autumn|fall|winter|spring|season|century|decade|time|monday|tuesday|wednesday|thursday|friday|saturday|sunday|days|january|february|march|april|may|june|july|august|september|october|november|december|country|nation|newspaper|article|story|report|file|picture|photo|image|video)\b"
# "Her Majesty's government": whoever it is has that for a name.
_TITLE = r"(?:majest(?:y|ies)|holiness|beatitude|eminence|excellenc(?:y|ies)|(?:(?:royal|serene|imperial)\s)?highness(?:es)?)\b"
_RELATIVE = r"(?:who|whose|with|in|from|at|on|of|without|near|under|over|still|killed|injured|wounded|arrested|affected|involved|responsible|present|caught|living|taking|attending|looking|seeking|hoping)\b"

_POINTS_BACK = re.compile(
    "|".join(
        (
            # "He added …", "she 's", "They 've". "They say" of nobody is rare in news.
            rf"{_PERSON}{_APOSTROPHE}?\b",
            # "His brother …", "Their boat …"
            rf"(?:his|her|hers|their|theirs|its)\b(?!\s{_TITLE})",
            rf"it{_APOSTROPHE}?\b",
            # "This was …", "That, he said", "These are"; "this attack", "those claims"
            rf"(?:this|that|these|those){_APOSTROPHE}?\s?{_VERB}(?!\w)",
            rf"(?:this|these)\s(?!{_NOT_SAID_BEFORE}|\d|past|last|coming)[a-z]",
            rf"those\s(?!{_RELATIVE}|{_NOT_SAID_BEFORE})[a-z]",
            r"such\s(?:an?|as\b|is|was|\w+s)\b",
            # "The latter", "the former said"; the former president is somebody
            rf"the\s(?:latter\b(?!\s(?:half|part|stages?)\b)|former\s?{_VERB}(?!\w))",
            r"the\s(?:pair|duo|trio|same|others?|rest)\b",
            rf"(?:both|neither|either|others|another)\s?(?:of\sthem|{_VERB})(?!\w)",
            r"(?:one|two|three|four|some|many|most|all|none|each|several|half|both|neither|any|few)\sof\s(?:them|these|those|whom)\b",
            # "At the time, …", "After that, …", "Since then …", "As a result …"
            r"(?:at|by|until|since|before|after)\s(?:the\ssame\stime|that(?:\s(?:time|point|stage|moment))?|then)\s?(?:,|\b(?:he|she|they|it|the)\b)",
            r"(?:as\s(?:a\sresult|such|a\sconsequence)|in\s(?:addition|response|turn|contrast|return|particular|other\swords|doing\sso|that\scase)|by\s(?:contrast|comparison)|on\sthe\s(?:other\shand|contrary)|for\s(?:example|instance|that\sreason|this\sreason)|because\sof\s(?:this|that)|despite\s(?:this|that)|even\sso|that\ssaid|if\s(?:so|not)|instead\s?,|likewise|similarly|however\s?,|therefore|thus|hence|consequently|nevertheless|nonetheless|moreover|furthermore|otherwise|besides\s?,|conversely|afterwards?|thereafter|nor(?![-'’]))(?!\w)",
        )
    ),
)
# "It is unclear whether", "it was the army that", "It took three days to", "it emerged that"
_POINTS_AHEAD = re.compile(
    rf"it{_APOSTROPHE}?\s(?:(?:has|had|would|will|may|might|could|can|should|must|does|did|was|is|also|now|later|soon|still|not|n['’]t|only|just|so|far|be|been|being|immediately|yet|later)\s)*"
    r"(?:(?:(?:is|was|be|been|['’]s|remains|remained|seems|seemed|appears|appeared|became|takes|took|means|felt|looks|makes\ssense)\s(?:\S+\s){0,7}?(?:that|who|whom|whose|which|when|where|to|if|whether|how|what|why|since|as\sif)\b)|(?:\S+\s){0,6}?(?:unclear|possible|likely|unlikely|thought|believed|understood|reported|claimed|alleged|said|known|important|difficult|clear|hard|easy|raining|snowing)\s(?:\S+\s){0,3}?(?:that|who|when|where|to|if|whether|how|what|why)\b|(?:emerged|turns\sout|turned\sout|emerges|transpired|is\sclaimed|was\sclaimed|follows)\b)"
)
# What may stand before the word that points back: "But she …", "Meanwhile it …", "Later , he …"
_LINK = re.compile(
    r"(?:(?:and|but|or|so|yet|then|now|also|still|later|earlier|soon|meanwhile|instead|indeed|perhaps|maybe|in\sfact|of\scourse|for\snow|finally|eventually|initially|today|yesterday|once|again|sometimes|even|only)\b\s?,?\s?)+"
)
# "When he was a boy, the general …" names him later, "When he was a boy, he …" does not.
_CLAUSE = re.compile(
    rf"(?:when|while|as|once|if|although|though|even\s(?:though|if|when)|because|since|until|after|before|unless)\s(?:{_PERSON}|it|his|her|their|its|this|that)\b[^,]{{0,150}},\s(?={_PERSON}\b|it\b)"
)
# "On Monday , he …", "In 2011 she …", "Speaking to reporters, she …": whoever it is was named before.
_AND_THEN_A_PERSON = re.compile(
    rf"(?:(?:on|in|at|last|since|by|during|from|until|around)\s(?:[^\s,]+\s){{0,4}}?[^\s,]+\s?,?\s|(?:speaking|asked|writing|talking|addressing|referring|responding|commenting|appearing)\s(?:[^,]{{0,80}}),\s){_PERSON}{_APOSTROPHE}?\s"
)
# A conjunction in front of a whole sentence: it takes up the one before.
_CONJUNCTION = re.compile(
    r"(?:and|but|or|yet|so)\b(?![-\u2011])\s?,?(?!\s?(?:far|called|many|much|few|long|great|strong|severe|serious)\b)"
)
# "…," he said; and a quotation that is all there is of its sentence.
_MARK = r"(?:``|''|[“”„«»\"‘’'])"
_SAID_BY_A_PRONOUN = re.compile(
    rf"{_MARK}.{{1,400}}?[,.?!…]\s?{_MARK}\s?(?:{_PERSON}\s(?:(?:also|later|then)\s)?(?:said|says|told|tells|added|adds|wrote|explained|continued|insisted|recalled|admitted|warned|claimed|replied|asked|declared|noted|vowed)|(?:said|added)\s{_PERSON})\b"
)
# An apostrophe has a letter beside it; the two ways to have one exclude each other, for the speed.
_SAID_BY_NOBODY = re.compile(
    rf"{_MARK}\s?(?:[^“”„«»\"‘’'`]|(?<=\w)[’']|(?<!\w)[’'](?=\w))+{_MARK}\Z"
)
_EDGE = re.compile(r"[-–—•*·\s]+")
# "IT systems failed"; in "IT WAS the army that …" and "IT'S WAR" it is the word.
_COMPUTING = re.compile(r"\bIT\b(?!['’]|\s[A-Z]{2})")


_LONGEST = 600


def starts_in_mid_air(sentence: str) -> bool:
    """Whether a sentence can only be understood with the one before it."""
    text = " ".join(_COMPUTING.sub("computing", sentence[:_LONGEST]).lower().split())
    text = text[edge.end() :] if (edge := _EDGE.match(text)) else text
    if _AND_THEN_A_PERSON.match(text) or _CONJUNCTION.match(text):
        return True
    if _SAID_BY_A_PRONOUN.match(text) or _SAID_BY_NOBODY.match(text):
        return True
    link, clause = _LINK.match(text), _CLAUSE.match(text)
    for start in {0, link.end() if link else 0, clause.end() if clause else 0}:
        if _POINTS_BACK.match(text, start) and not _POINTS_AHEAD.match(text, start):
            return True
    return False
