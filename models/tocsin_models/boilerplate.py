# ruff: noqa: E501 - a pattern that is broken over lines can no longer be read or searched for.
"""Which paragraphs of an article are not reporting: rules with a reason each, not a model.

A dropped passage of news is lost for good, a kept share prompt costs a line: so a rule has to be sure
(eval/README.md, "Boilerplate", has precision and recall). A paragraph that opens with a quotation mark
is only ever dropped as a crosshead, and nothing above 600 characters or 60 words is dropped at all.

``REASONS`` is the closed list of words that ``Dropped.reason`` can hold.
"""

import re
from collections.abc import Sequence

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_CLOCK = r"\d{1,2}[.:h]\d{2}(?:[.:]\d{2})?\s?(?:[ap]\.?m\.?)?\s?(?:gmt|utc|bst|e[sd]?t|p[sd]t|local|ist|z)?"
_DATE = rf"(?:{_DAY},?\s)?(?:{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?|\d{{1,2}}(?:st|nd|rd|th)?\s{_MONTH})(?:,?\s\d{{4}})?"
_NAMES = (
    r"[A-Z][\w.'’-]*(?:,?\s(?:and\s|&\s)?(?:(?:al|de|van|von|bin|ibn)[\s-])?[A-Z][\w.'’-]*){0,9}"
)
_OUR_PAGE = r"(?:page|blog|live\s?blog|live\s(?:page|coverage|updates?|feed))"

# reason -> patterns, matched from the first character, letters of either case unless "(?-i:".
_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "time stamp",
        (
            # "07.31", "09.14 GMT", "Last updated 05.40", "Published: 3 March 2021, 10:15 GMT"
            rf"(?:(?:last\s)?(?:updated|modified|posted|published|first\spublished)(?:\s(?:at|on))?:?\s)?(?:{_DATE}|{_CLOCK})(?:\s?[,|·•–—-]?\s?(?:at\s)?(?:{_DATE}|{_CLOCK}))?\.?\Z",
            # "ABC 081714 GMT AUG 84", an agency's transmission line
            rf"(?:[A-Z]{{2,5}}\s)?\d{{6}}\s?(?:gmt|z|utc)\s{_MONTH}\s\d{{2,4}}\Z",
            # "5 min read", "3 hours ago", "Updated 10 minutes ago"
            r"(?:updated\s)?\d{1,3}\s(?:min(?:ute)?s?|hours?|days?)\s(?:read|ago)\Z",
        ),
    ),
    (
        "share prompt",
        (
            # "Share this article", "Share on Facebook", "Email this story", "Print"
            r"(?:save|like|copy)\s(?:this|link|article|story)(?:\s(?:article|story|link))?\Z",
            r"(?:share|tweet|e-?mail|print|bookmark)(?:\s(?:this|the|on|via|with|by|link|now|article|story|page|post|facebook|twitter|x|whatsapp|telegram|linkedin|e-?mail|friends|your|a|friend|to|or|and|it))*[.!:]?\Z",
            # "Share: Facebook Twitter Email", "Facebook | Twitter | Email"
            r"(?:share:?\s)?(?:(?:facebook|twitter|x|whatsapp|telegram|linkedin|e-?mail|print|reddit|copy link)[\s|,/·•]*){2,}\Z",
            # "Follow us on Telegram", "Follow the author on Twitter", "Like us on Facebook"
            r"(?:follow|like|join|find)\s(?:us|me|our\s[\w\s]{2,30}|the\sauthor|@\w+|[\w\s@.]{2,30})\son\s(?:facebook|twitter|telegram|instagram|whatsapp|youtube|linkedin|threads|bluesky)\b",
            # "Follow our sports desk for fixtures and results."
            r"follow\sour\s(?:\w+\s){0,2}(?:desk|bureau|team|reporters|correspondents|page|channel|coverage|feed)\b",
            # "Like this story? Share it with a friend."
            r"(?:like|liked|enjoyed)\sthis\s(?:story|article)\?",
        ),
    ),
    (
        "newsletter prompt",
        (
            # "Sign up to our morning briefing", "Subscribe to transcripts | RSS", "Tap the bell for alerts"
            r"(?:sign\sup|register)\s(?:to|for|here|now|today)\b[^.]{0,60}\b(?:newsletters?|briefing|alerts?|e-?mails?|updates|podcast|digest)\b",
            r"subscribe\s(?:to|for|here|now|today)\b",
            r"did\sa\sfriend\s(?:forward|send)\syou\sthis\b",
            r"tap\s(?:the\s)?\w+\sfor\salerts\b",
            r"(?:get|receive)\s(?:our|the)\s(?:\w+\s){0,3}(?:newsletter|briefing|alerts|headlines)\b",
            r"(?:download|get)\sour\s(?:\w+\s)?app\b",
            r"subscribe\Z",
            r"for\supdates,\sfollow\b",
        ),
    ),
    (
        "related link",
        (
            # "Read more: …", "READ: …", "Also read: …", "RELATED: …", "See also: …", "Watch video: …"
            r"(?:read|also\sread|read\salso|read\smore|read\snext|see\salso|related(?:\s(?:story|stories|article|articles|links?|content|coverage))?|more\son\sthis(?:\sstory)?|more\sfrom\s[\w\s]{2,30}|more|watch(?:\s(?:video|now|live|also|more))?|listen|video|photos|gallery|in\spictures|in\sphotos|interactive|quiz|full\scoverage|don['’]t\smiss|further\sreading)\s?[:»>|]\s?\S",
            # "Opinion: Why the talks failed" links; "Opinion: The talks failed." is a line of a round-up.
            r"(?:opinion|analysis|explainer)\s?[:»>|]\s?\S(?!.*[.!]\Z)",
            # "Read the full report on our homepage.", "See the photo gallery: …", "Try our quiz: …"
            r"(?:read|see|view|watch|browse|try|take|play)\s(?:the|our|more|all)\s(?:\w+\s){0,4}(?:homepage|website|galler(?:y|ies)|quiz|coverage|stories|interactive)\b[^.]{0,60}\.?\Z",
            r"(?:click|tap)\s(?:here|to|on)\b",
            # "For another view, click here.", "Scroll down for video", "Read more about the talks", "Watch the port burn »"
            r"[^.]{0,80}\bclick\shere[.!]?\Z",
            r"(?:videos?\s?:?\s)?scroll\sdown\s(?:for|to\s(?:see|watch|read))\b",
            r"read\smore\s(?:about|of|from|on)\s[^.?!]{2,80}\Z",
            r"[^.«]{3,120}\s»\Z",
            # "More on this story", "Related stories", "Most read", "You may also like"
            r"(?:more\son\sthis(?:\sstory)?|related(?:\s(?:stor(?:y|ies)|articles?|content|topics|links?|news))?|most\s(?:read|popular|viewed)|you\smay\salso\slike|recommended(?:\sfor\syou)?|editor['’]?s['’]?\s(?:picks?|choice)|trending(?:\snow)?|top\sstories|latest\snews|see\salso|read\s(?:more|also)|further\sreading)\s?[:.]?\Z",
            # "Download PDF maps related to the show:"
            r"download\s(?:the\s|our\s|a\s)?(?:pdf|maps?|transcript|audio)\b",
        ),
    ),
    (
        "comment form",
        (
            # "Leave a comment", "Post a comment", "Comments are now closed.", "12 comments", "Have your say"
            r"(?:leave|post|add|write|submit)\s(?:a|your)\s(?:comment|reply)\b",
            r"(?:view|show|hide|read|load)?\s?(?:all\s)?(?:\(?\d{1,6}\)?\s)?comments?(?:\s\(?\d{1,6}\)?)?\s?:?\Z",
            r"(?:that\sis\sall\sfor\stoday\.\s)?comments\sare\s(?:now\s)?(?:closed|moderated|off|disabled)\b",
            r"(?:have\syour\ssay|join\sthe\s(?:conversation|discussion)|log\sin\sto\s(?:comment|reply)|what\sdo\syou\sthink\?\s(?:tell|leave|share|have|join)\b)",
            r"your\semail\saddress\swill\snot\sbe\spublished",
            # "Have a question we didn't answer? Send it to us here.", "… Send your pictures to the newsdesk"
            r"(?:[^.?!]{3,90}\?\s)?(?:send|e-?mail)\s(?:it|them)\sto\s(?:us\b|(?:our|the)\s(?:newsdesk|editors?)\b)[^.]{0,30}\.?\Z",
            r"(?:[^.?!]{3,90}\?\s)?(?:send|e-?mail|tell)\s(?:us\s)?your\s(?:photos?|pictures|comments?|questions?|stor(?:y|ies)|views|videos?|tips?|thoughts|experiences?)\b[^.]{0,60}\.?\Z",
            r"readers\s[\w\s]{0,40}\bmay\s(?:call|write|e-?mail|contact)\s(?:our|the)\b",
        ),
    ),
    (
        "developing story",
        (
            # "This is a developing story and will be updated.", "Breaking news. More to follow."
            r"(?:this\s(?:is\sa\s)?)(?:breaking|developing)(?:\snews)?\s(?:news\s)?story\b",
            r"this\s(?:breaking\snews\s)?(?:story|article|report|page)\s(?:is\sbeing|will\sbe|has\sbeen|was)\s(?:\w+\s)?updated\b",
            r"(?:developing(?:\sstory)?|more\sto\s(?:follow|come)|more\sdetails\s(?:soon|to\sfollow)|breaking(?:\snews)?(?:[.:]\smore\sto\s(?:follow|come))?)\s?[.…]*\Z",
        ),
    ),
    (
        "live page notice",
        (
            # "Auto-refresh is on. Newest posts appear at the top.", "Refresh this page for the latest."
            r"auto-?\s?refresh\b",
            rf"(?:please\s)?(?:refresh|follow|reload)\s(?:this|the|our)\s{_OUR_PAGE}\b",
            rf"this\s{_OUR_PAGE}\s(?:is\s(?:now\s)?closed|refreshes|updates|has\s(?:now\s)?(?:ended|closed))",
            r"follow\salong\sfor\b",
            # "We are pausing our live coverage here.", "We're handing over … Thanks for reading."
            rf"(?:we\sare|we['’]re|i['’]m|i\sam)\s(?:now\s)?(?:pausing|closing|ending|wrapping\sup)\s(?:this|our|the)\s(?:{_OUR_PAGE}|coverage)\b",
            r"(?:we\sare|we['’]re|i['’]m|i\sam)\s(?:now\s)?handing\sover\sto\s(?:my|our)\scolleagues\b",
            r"(?:thanks?(?:\syou)?\sfor\s(?:reading|following|joining\sus)|that\sis\sall\sfor\stoday)[.!]?\Z",
        ),
    ),
    (
        "disclaimer",
        (
            # "The opinions expressed in this commentary are solely those of …"
            r"(?:[^.]{3,120}\.\s)?(?:the\s)?(?:views|opinions)\s(?:and\sopinions\s)?expressed\b[^.]{0,90}\b(?:are|do\snot|does\snot|belong|remain)\b",
            r"this\s(?:column|article|commentary|editorial|piece)\s(?:reflects|represents|does\snot\s(?:necessarily\s)?(?:reflect|represent))\b",
            # "This interview has been edited for length and clarity."
            r"(?:this|the)\s(?:interview|transcript|conversation|briefing|discussion|q&a)\s(?:was\s[^.]{3,60}\sand\s)?(?:has\sbeen|have\sbeen|was)\s(?:\w+\s)?(?:edited|condensed|abridged)\b",
            r"this\stranscript\s(?:contains|may)\b",
            r"this\sis\sa\srush\stranscript\b",
            # "(This report has been published from an agency feed without modification.)"
            r"[(\[]?(?:this|the)\s(?:report|story|article)\s(?:has\sbeen|was|is)\s(?:auto-?\w*\s)?(?:published|generated|syndicated|taken)\sfrom\b",
            r"\W{0,3}the\s[\w\s]{3,30}\sis\ssubject\sto\schange\W{0,3}\Z",
            # The last line of a press release of the United Nations.
            r"for\sinformation\smedia\.?\s?(?:—|-|–)?\s?not\san\sofficial\srecord\.?\Z",
            r"the\sfollowing\sis\sa\s(?:near-?verbatim|verbatim|rush)\stranscript\b",
            r"[(\[](?:translated|portions\swere)\b[^)\]]{0,200}[)\]]\Z",
        ),
    ),
    (
        "byline",
        (
            # "By Ada Example", "BY ADA EXAMPLE AND BO SAMPLE, Foreign Correspondent"
            rf"(?-i:By\s[A-Z][a-z'’-]+\s{_NAMES})(?:,\s[\w\s]{{3,40}})?\Z",
            r"(?-i:BY\s[A-Z'’-]{2,}\s[A-Z'’-]{2,}(?:\sAND\s[A-Z'’-]{2,}\s[A-Z'’-]{2,})?)(?:,\s[\w\s]{3,40})?\Z",
            # "By Ada Example in Vessaly", "By Ada Example for Example Press", "By Ada Example | Example Press"
            rf"(?-i:(?:By|BY)\s[A-Z][\w'’-]+\s{_NAMES}\s?(?:\sin\s|\sfor\s(?:the\s)?|[|/–—-]\s?){_NAMES})\Z",
        ),
    ),
    (
        "credit line",
        (
            # "The agency's Ada Example contributed to this report."
            r"[^.:]{2,160}\scontributed\s(?:reporting\s)?to\sthis\s(?:report|story|article)\b",
            # "(Editing by the Gulf desk; …)", "(Additional reporting by …)", "Compiled by the foreign desk"
            r"[(\[](?:(?:additional|further)\s)?(?:reporting|writing|editing)\sby\s[^)\]]{2,250}[)\]]\Z",
            rf"(?:(?:(?:additional|further)\s)?(?:reporting|writing|editing)\sby\s(?-i:{_NAMES})(?:\sin\s(?-i:{_NAMES}))?[;,.]?\s?){{1,4}}\Z",
            # "Ada Example reported from Vessaly.", "Example reported from Vessaly and Sample from Kyrrin."
            rf"(?-i:[A-Z][\w'’-]+\s{_NAMES}\sreported\sfrom\s{_NAMES})\.?\Z",
            rf"(?-i:{_NAMES}\sreported\sfrom\s{_NAMES}\sfrom\s{_NAMES})\.?\Z",
            # "Example Press writers Ada Example in Vessaly and Bo Sample contributed."
            rf"(?-i:{_NAMES}\s(?:writers?|reporters?|correspondents?|journalists?)\s{_NAMES}(?:\sin\s{_NAMES}){{0,4}}\scontributed)\.?\Z",
            rf"with\sreporting\sby\s(?-i:{_NAMES})(?:\sin\s(?-i:{_NAMES}))?\.?\Z",
            r"compiled\s(?:by|from)\s[^,.]{2,70}\b(?:desk|staff|reports|agencies|services|correspondents|reporters)\.?\Z",
            r"from\s(?:our\s)?(?:staff|wire\sservices|news\sservices|agency\sreports)\b[\w\s]*\.?\Z",
        ),
    ),
    (
        "author note",
        (
            # "Editor's note: …", "The writer retired as head of a regional air command. …"
            r"editor['’]?s['’]?\snote\s?:",
            r"the\s(?:writer|author|columnist)\s(?:(?:is|was|has\sbeen|served\sas)\s(?:an?|the)\b|retired\sas|writes|teaches|covers)\b",
            # "Ada Example writes every other Saturday."
            rf"(?-i:{_NAMES})\s(?:writes|blogs|tweets)\s(?:every|each|weekly|at|for\sthe|about)\b",
            # "Ada Example is a former ambassador. Her memoir, A Title, appears in spring."
            rf"(?-i:[A-Z]\w+\s{_NAMES})\s(?:is\s(?:an?|the)\b[^.,]{{0,60}}\b(?:fellow|professor|author|columnist|writer|editor|lecturer|ambassador|novelist|historian)|holds\sthe\schair)\b",
        ),
    ),
    (
        "contact line",
        (
            # "For more information media should contact the Office of the Spokesperson."
            r"for\s(?:more|further|additional|any|press|media)\s(?:information|questions?|inquiries|enquiries|details|requests?)\b[^.]{0,120}\b(?:contact|visit|see|call|e-?mail|write|please)\b",
            # "Got a story? Ring the newsdesk.", "Write to our business desk with tips or corrections."
            r"(?:got|have\syou(?:\sgot)?)\sa\s(?:story|tip)(?:\sfor\sus)?\?",
            r"write\sto\sour\s(?:\w+\s){0,2}desk\b",
            r"(?:press|media)\s(?:contacts?|inquiries|enquiries|office)\s?:",
            r"(?:contact|tel|phone|fax|e-?mail)(?:\sus)?\s?:\s?\S",
            r"\S{2,60}@\S{2,60}\.\S{2,10}\Z",
            r"(?:https?://|www\.)\S+\Z",
        ),
    ),
    (
        "copyright",
        (
            # "© 2021 Example Press", "All rights reserved.", "When reproducing … a hyperlink … is obligatory"
            r"(?:(?:tm\s?(?:&|and)\s?)?©|\(c\)\s\d{4}|copyright\b(?=.{0,40}(?:\d{4}|©|\(c\)|reserved)))",
            r"[^.]{0,80}\ball\srights\sreserved\b",
            r"when\sreproducing\b",
            r"this\s(?:material|article|content|story|report)\smay\snot\sbe\s(?:published|reproduced|republished|reprinted)\b",
        ),
    ),
    (
        "advertisement",
        (
            # "Advertisement", "ADVERTISEMENT - CONTINUE READING BELOW", "Story continues below"
            r"(?:advertisements?|sponsored(?:\scontent)?|promoted)(?:\s?[-–—:|]?\s?(?:continue\sreading(?:\sbelow)?|scroll\sto\scontinue))?\.?\Z",
            r"(?:article|story)\scontinues\s(?:below|after)\b",
            # "To order a copy, visit our bookshop."
            r"(?:[^.]{3,90}\.\s)?to\s(?:order|buy)\s(?:a\scopy|yours?|prints?)\b",
        ),
    ),
    (
        "tag list",
        (
            # "Tags: drones, Gulf", "Filed under: …", "Topics: …", "#gulf #drones"
            r"(?:tags?|topics?|filed\sunder|keywords|categories|category|in\sthis\sstory)\s?:\s?\S[^.?!]{0,200}\Z",
            r"(?:#\w+[\s,]*)+\Z",
        ),
    ),
    (
        "navigation",
        (
            # "Home | World | Politics", "Skip to content", "Back to top", "Previous article"
            r"(?:skip|jump)\sto\s(?:main\s|the\s)?(?:content|navigation|comments|search)\b",
            r"(?:back\sto\stop|(?:previous|next)(?:\s(?:article|story|page|post))?|menu|search|home|log\sin|sign\sin|load\smore|show\smore|see\sall|view\sall|close|loading)\s?[…»«>]*\Z",
            r"(?:[•·|]\s?)?(?:[\w&':-][\w&': -]{1,25}[|›»>·•]\s?){2,}[\w&':-][\w&': -]{1,25}\Z",
            r"(?:print\sedition,\s)?page\s\d{1,3}(?:\sof\s\d{1,3})?\Z",
            # "Newest updates appear at the top. Refresh for more."
            r"(?:newest|latest)\s(?:updates|posts)\s(?:appear|stand)\sat\sthe\stop\b",
            r"(?:accept|manage)\s(?:all\s)?cookies\b",
            r"(?:we|this\s(?:web)?site)\suses?\scookies\b",
        ),
    ),
    (
        "image credit",
        (
            # "Photo: Ada Example/Agency", "(AP Photo/…)", "Getty Images", "Image credit: …"
            rf"[(\[]?(?:photo(?:graph)?s?|image|picture|video|graphic|illustration)(?:\s(?:credit|source|courtesy))?(?:\s?:\s?|\s(?:by|courtesy\sof|via)\s)(?-i:{_NAMES})(?:\s?[/|,]\s?[\w\s]{{2,40}})*[)\]]?\.?\Z",
            r"[(\[]?(?:(?:ap|afp|reuters|epa)\s(?:photo|image|file)|getty\simages|credit\s?:)[^.]{0,60}[)\]]?\Z",
            rf"[(\[]?(?-i:{_NAMES})\s?/\s?(?:(?:ap|afp|reuters|epa)(?:\svia\s|/))?(?:getty(?:\simages)?|ap|afp|reuters|epa|shutterstock)[)\]]?\Z",
            # "Image source, Example Agency", "Handout via Reuters"
            rf"image\ssource\s?[,:]\s(?-i:{_NAMES})\Z",
            r"handout\s(?:via|/)\s?[\w\s/]{2,40}\Z",
        ),
    ),
    (
        "transcript mark",
        (
            # "[The hearing adjourned at 12.57]", "(The briefing was concluded at 2:41 p.m.)", "(BEGIN VIDEO)"
            r"[(\[]\s?the\s(?:[\w'’-]+\s){1,4}(?:was\s)?(?:adjourned|concluded|ended|began|resumed|rose)\b[^)\]]{0,60}[)\]]\Z",
            r"[(\[](?:begin|end)\s[\w\s]{3,40}[)\]]\Z",
            r"(?:begin|end)\s(?:of\s)?(?:text|transcript|statement)\s?[:.]?\Z",
            # "(POOLED PRESS COVERAGE)", "This event will be pooled press coverage only and livestreamed …"
            r"[(\[][\w\s]{0,30}(?:press\scoverage|camera\sspray|open\spress|closed\spress)[\w\s]{0,20}[)\]]\Z",
            r"(?:this|the)\s(?:event|camera\sspray|briefing|remarks)\s(?:will|is\sto)\sbe\s(?:\w+\s){0,4}(?:live\s?-?streamed|pooled)\b",
        ),
    ),
)

CROSSHEAD = "crosshead"
REASONS: tuple[str, ...] = (*(reason for reason, _ in _RULES), CROSSHEAD)

_COMPILED = tuple(
    (reason, re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE))
    for reason, patterns in _RULES
)

# Prompts address the reader, and so do threats ("Follow our orders or be killed"): a prompt with one of
# these words is kept. Links are not guarded: what they name stands in another article.
_PROMPTS = frozenset(
    (
        "share prompt",
        "newsletter prompt",
        "comment form",
        "live page notice",
        "navigation",
        "contact line",
    )
)
_VIOLENCE = re.compile(
    r"\b(?:kill\w*|die|dead|death|blood\w*|reveng\w*|aveng\w*|enem\w+|weapons?|burn\w*|destroy\w*|str(?:ike|uck)\w*|"
    r"attack\w*|bomb\w*|punish\w*|surrender\w*|retaliat\w*)\b",
    re.IGNORECASE,
)
# These stand around an article, not in it: within so many paragraphs of its beginning or its end.
_AT_THE_EDGES = {"author note": 2, "byline": 3}

_LONGEST_CHARACTERS = 600
_LONGEST_WORDS = 60
_QUOTATION = re.compile(r"[\"“„«‘']")

# Crossheads. Four words: of the five-word lines without a full stop in the training split nearly half
# are headlines that report something ("Cease-fire reached in …"), of the shorter ones almost none.
_CROSSHEAD_WORDS = 4
_QUESTION_WORDS = 9
_HEADING_WORDS = 8
_LONGEST_RUN = 2
# An article whose longer paragraphs nearly all end in a full stop is not hard-wrapped: there a crosshead
# may stand behind a line without one (a link's headline).
_PROSE_SPACES = 9
_PUNCTUATED_SHARE = 0.7
_ENDS_SENTENCE = re.compile(r"[.!?…。؟]['\"”’»)\]]*\Z")
_OPENS_LINE = re.compile(r"['\"“‘]?[A-Z0-9]")
_SPEAKER = re.compile(r"\A(?:[QA]\b|[^:]{1,40}:)")
_QUESTION = re.compile(
    r"\A(?:\d{1,2}[.)]\s)?(?:what|who|whose|whom|why|how|when|where|which|is|are|was|were|do|does|did|has|have|"
    r"had|can|could|will|would|should|if)\b",
    re.IGNORECASE,
)
_TO_SOMEBODY = re.compile(
    r"\b(?:you|your|yours|sir|madam|ma'am|minister|then\?)|\A(?:and|but|so)\b", re.I
)
# A short line with one of these can itself be a threat, a demand or a claim ("Leave or burn").
_WEIGHTY = re.compile(
    r"\b(?:will|shall|must|never|won['’]t|['’]ll|leave|surrender|kill\w*|dea(?:th|d)|die|burn\w*|blood|"
    r"destroy\w*|reveng\w*|aveng\w*|vengeance|retaliat\w*|reprisals?|warn\w*|threat\w*|vow\w*|claim\w*|den(?:y|ies|ied)|"
    r"strike\sback|expel\w*|sanctions?|ceasefire|cease-fire|truce|says?|said|we|us|our|i|my)\b",
    re.IGNORECASE,
)


def drop_reason(text: str) -> str | None:
    """Why a paragraph, seen alone, is boilerplate; None when it is not, or when that is unsure.

    Crossheads need their neighbours: see ``drop_reasons``.
    """
    if len(text) > _LONGEST_CHARACTERS or _QUOTATION.match(text):
        return None
    if len(text.split()) > _LONGEST_WORDS:
        return None
    for reason, pattern in _COMPILED:
        if pattern.match(text):
            return None if reason in _PROMPTS and _VIOLENCE.search(text) else reason
    return None


def drop_reasons(
    paragraphs: Sequence[str],
    headings: frozenset[int] = frozenset(),
    items: frozenset[int] = frozenset(),
) -> list[str | None]:
    """For every paragraph of one article, in order, why it is dropped, or None where it is kept.

    ``headings`` are the indices of what HTML marks as a heading below the headline: they count as
    crossheads up to eight words, standfirsts aside. ``items`` are those of its list items and table
    rows: short, but never crossheads.
    """
    reasons = [_reason_of_lines(paragraph) for paragraph in paragraphs]
    paragraphs = [" ".join(paragraph.split()) for paragraph in paragraphs]
    for index, reason in enumerate(reasons):
        edge = _AT_THE_EDGES.get(reason or "", len(paragraphs))
        if edge <= index < len(paragraphs) - edge:
            reasons[index] = None
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    if reasons and reasons[0] in ("related link", "author note") and kept:
        # The first line of an article is its headline ("Opinion: …", "Analysis: …"), not a link.
        reasons[0] = None
        kept.insert(0, 0)
    found = [*_crossheads(paragraphs, kept), *_headings(paragraphs, kept, headings)]
    for index in set(found) - items:
        reasons[index] = CROSSHEAD
    return reasons


def _reason_of_lines(paragraph: str) -> str | None:
    """The reason of a paragraph as one line, else that of its first line if every line has one."""
    if len(paragraph) > _LONGEST_CHARACTERS:
        return None
    reason = drop_reason(" ".join(paragraph.split()))
    lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
    if reason is None and len(lines) > 1:
        reasons = [drop_reason(line) for line in lines]
        reason = reasons[0] if all(reasons) else None
    return reason


def _crossheads(paragraphs: Sequence[str], kept: Sequence[int]) -> list[int]:
    """Indices of the short lines that only divide the body.

    A crosshead stands behind a finished paragraph and before another one, never first. Lists, verse and
    hard-wrapped lines have the same length; they are told by an unfinished line before them, by a run of
    more than two, or by making up over half of the text. Interviewers' questions are told by their "you".
    """
    is_interview = any(
        paragraphs[index].endswith("?") and _TO_SOMEBODY.search(paragraphs[index])
        for index in kept[1:]
        if len(paragraphs[index]) <= _LONGEST_CHARACTERS
    )
    short = {
        index
        for index in kept[1:-1]
        if _is_short_line(paragraphs[index], is_interview=is_interview)
    }
    prose = [paragraphs[index] for index in kept if paragraphs[index].count(" ") >= _PROSE_SPACES]
    ended = sum(bool(_ENDS_SENTENCE.search(text[-8:])) for text in prose)
    is_punctuated = ended >= _PUNCTUATED_SHARE * max(len(prose), 1)
    found: list[int] = []
    position = 1
    while position < len(kept) - 1:
        run: list[int] = []
        before = paragraphs[kept[position - 1]]
        while kept[position] in short:
            run.append(kept[position])
            position += 1
        is_finished = _ENDS_SENTENCE.search(before[-8:]) or (
            is_punctuated and before[-1:] not in ":;,-–—"
        )
        if 1 <= len(run) <= _LONGEST_RUN and is_finished:
            found.extend(run)
        position += 1
    return found if 2 * len(found) <= len(kept) else []


def _headings(
    paragraphs: Sequence[str], kept: Sequence[int], headings: frozenset[int]
) -> list[int]:
    return [
        index
        for index in kept[2:]
        if index in headings
        and len(paragraphs[index].split()) <= _HEADING_WORDS
        and not paragraphs[index].endswith(".")
        and not _WEIGHTY.search(paragraphs[index])
    ]


def _is_short_line(text: str, *, is_interview: bool) -> bool:
    if len(text) > 120 or not _OPENS_LINE.match(text) or _SPEAKER.match(text):
        return False
    words = len(text.split())
    if text.endswith("?"):
        is_heading = words <= _QUESTION_WORDS and bool(_QUESTION.match(text))
        return is_heading and not is_interview and not _TO_SOMEBODY.search(text)
    if words > _CROSSHEAD_WORDS or text[-1] in ".!…:;,-–—" or _WEIGHTY.search(text):
        return False
    return not _QUOTATION.match(text) or text[-1] in "\"”’'"
