"""The five questions of `--natural`: the paper measured its table over five answers to medical questions."""

QUESTIONS = (
    "A 67-year-old man on warfarin was prescribed clarithromycin yesterday. What is the risk, and what should be checked?",
    "How is anaphylaxis in an adult treated in the first ten minutes?",
    "A 4-year-old has had a barking cough and a hoarse voice since last night. What is likely, and when is it dangerous?",
    "Which findings in acute low back pain ask for imaging or referral on the same day?",
    "What should a person with type 2 diabetes do about metformin when vomiting and drinking little?",
)
MAX_TOKENS = 512
"""Where an answer is cut off that does not end by itself."""
