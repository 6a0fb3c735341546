"""The wordings of `benchmarks.retrieval`: how a clinician might ask for each kind of answer, and questions from elsewhere.

Written without a look at the titles and questions of the set, in two lists: TUNED was in view while the search was made,
REPORTED is for the report alone. `{x}` is the subject.
"""

TUNED: dict[str, tuple[str, ...]] = {
    "information": (
        "tell me about {x}",
        "overview of {x} for a junior doctor",
        "I have never seen {x}, what is it",
        "please explain {x}",
        "brief me on {x} before clinic",
        "{x} - background for the ward round",
    ),
    "symptoms": (
        "how does {x} present",
        "clinical features in a patient with {x}",
        "what would I see with {x}",
        "signs pointing to {x}",
        "my patient may have {x}, which complaints are typical",
        "picture of {x}",
    ),
    "treatment": (
        "how do you manage {x}",
        "therapy options in {x}",
        "what can be done for someone with {x}",
        "best therapy against {x}",
        "how should {x} be dealt with",
        "drugs or surgery in {x}",
    ),
    "inheritance": (
        "can {x} be passed on to children",
        "mode of transmission in families with {x}",
        "is {x} hereditary",
        "recurrence risk for siblings in {x}",
    ),
    "frequency": (
        "how common is {x}",
        "prevalence of {x}",
        "how rare is {x}",
        "number of cases of {x} in the population",
    ),
    "genetic changes": (
        "which gene is mutated in {x}",
        "molecular basis of {x}",
        "mutations behind {x}",
        "what goes wrong in the DNA in {x}",
    ),
    "causes": (
        "why do people get {x}",
        "aetiology of {x}",
        "what leads to {x}",
        "origin of {x}",
    ),
    "exams and tests": (
        "work-up of suspected {x}",
        "how can I confirm {x}",
        "how is {x} found",
        "which investigations for {x}",
    ),
    "research": (
        "ongoing trials in {x}",
        "any studies on {x} at the moment",
        "new studies in {x}",
        "what is being investigated about {x}",
    ),
    "outlook": (
        "prognosis with {x}",
        "life expectancy in {x}",
        "long-term course of {x}",
        "will a person with {x} get better",
    ),
    "susceptibility": (
        "who gets {x}",
        "predisposing factors for {x}",
        "which people develop {x}",
        "does age or sex raise the chance of {x}",
    ),
    "considerations": (
        "diet and lifestyle advice in {x}",
        "what should someone with {x} eat",
        "nutrition with {x}",
        "practical advice to give about {x}",
    ),
    "prevention": (
        "how to avoid {x}",
        "can {x} be prevented",
        "lowering the risk of {x}",
        "how not to get {x}",
    ),
    "stages": (
        "staging of {x}",
        "how far has {x} spread: classes",
        "how is the extent of {x} described",
        "early and advanced {x}",
    ),
    "complications": (
        "what can go wrong in {x}",
        "sequelae of {x}",
        "late problems after {x}",
        "what else may {x} do to the body",
    ),
}
REPORTED: dict[str, tuple[str, ...]] = {
    "information": (
        "could you summarise {x} in a few lines",
        "a colleague mentioned {x}; what sort of illness is that",
        "{x}, quick reminder please",
    ),
    "symptoms": (
        "which symptoms should make me think of {x}",
        "typical presentation of {x} in practice",
        "what do people with {x} notice first",
    ),
    "treatment": (
        "{x}: what do guidelines recommend giving",
        "how would you treat an adult with {x}",
        "is there any effective treatment of {x}",
    ),
    "inheritance": (
        "will the children of a person with {x} have it too",
        "{x} inheritance pattern",
    ),
    "frequency": (
        "how many patients with {x} will I meet in my career",
        "{x} incidence",
    ),
    "genetic changes": (
        "gene responsible for {x}",
        "which mutation should the lab look for in {x}",
    ),
    "causes": (
        "what brings on {x}",
        "{x} cause unknown or known",
    ),
    "exams and tests": (
        "tests to order when {x} is suspected",
        "{x} diagnosis",
    ),
    "research": (
        "is anyone studying {x}",
        "latest research about {x}",
    ),
    "outlook": (
        "what happens to people with {x} over the years",
        "does {x} shorten life",
    ),
    "susceptibility": (
        "who is at risk of {x}",
        "is {x} more frequent in some groups",
    ),
    "considerations": (
        "what can a person with {x} do at home",
        "daily life with {x}",
    ),
    "prevention": (
        "steps to prevent {x}",
        "{x} prophylaxis",
    ),
    "stages": (
        "stages of {x}",
        "classification of {x} by severity",
    ),
    "complications": (
        "complications to watch for in {x}",
        "what does untreated {x} lead to",
    ),
}
# Subjects that a medical library has no business answering; even places tune, odd ones are reported.
ELSEWHERE = (
    "what is the capital of France",
    "how do I change a car tyre",
    "who won the football world cup",
    "write a poem about autumn leaves",
    "best holiday destinations in Portugal",
    "how to bake sourdough bread",
    "explain quantum entanglement",
    "price of petrol in Germany",
    "python list comprehension syntax",
    "how tall is the Eiffel tower",
    "what time does the train to Oxford leave",
    "recommend a detective novel",
    "how do I file my income tax return",
    "which guitar strings should a beginner buy",
    "translate good morning into Japanese",
    "who painted the Mona Lisa",
    "mortgage rates for first buyers",
    "rules of cricket explained",
    "how to repair a leaking tap",
    "when was the Berlin wall built",
    "install a printer driver on Windows",
    "chess openings for black",
    "best laptop under 800 euros",
    "how far away is the moon",
    "names of the planets",
    "who is the president of Brazil",
    "how to knit a scarf",
    "stock market forecast next week",
    "differences between Java and Kotlin",
    "how to train a puppy to sit",
    "what does the parking sign mean",
    "history of the Roman empire",
    "plant roses in clay soil",
    "cheap flights to New York",
    "solve the equation x squared equals nine",
    "how do solar panels work",
    "what film should we watch tonight",
    "write a cover letter for a sales job",
    "how to paint a wooden fence",
    "meaning of the word serendipity",
)
