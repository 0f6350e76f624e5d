/// What the callers of the recognition benchmark say: every phrase that a transition of the example dialogs expects, and as many
/// sentences, in the same states, that fit none of them.
///
/// Numbered through: even ones are for fitting, odd ones for scoring.
struct SpokenItem {
  var number: Int
  var dialog: String
  var state: String
  var text: String
  /// nil: fits nothing that the state expects.
  var meant: Meaning?

  /// What the dialog must have understood.
  struct Meaning {
    /// Where the transition leads.
    var target: String
    /// What the transcript must hold besides: `tuesday`, where every weekday leads to the same state.
    var word: String
  }

  var isForScoring: Bool { number % 2 == 1 }

  static let phrases: [SpokenItem] = {
    var items: [SpokenItem] = []
    func add(
      _ dialog: String, _ state: String, _ target: String, _ texts: [String], word: (String) -> String = { _ in "" }
    ) {
      for text in texts {
        items.append(
          SpokenItem(
            number: items.count, dialog: dialog, state: state, text: text,
            meant: Meaning(target: target, word: word(text))))
      }
    }
    add(
      "helpdesk", "menu", "password",
      [
        "i forgot my password", "please reset my password", "i need a new password", "my password is locked",
        "my account is locked",
      ])
    add(
      "helpdesk", "menu", "printer",
      ["the printer is jammed", "the printer is not working", "the printer is out of paper", "i cannot print"])
    add(
      "helpdesk", "menu", "network",
      [
        "the network is down", "the network is very slow", "the internet is down", "the internet is very slow",
        "i have no internet connection", "the wireless is not working",
      ])
    add(
      "helpdesk", "menu", "person",
      [
        "speak to a person", "speak to somebody", "speak to an agent", "talk to a person", "talk to somebody",
        "talk to an agent", "i want a person",
      ])
    add("helpdesk", "opened", "menu", ["yes", "yes please"])
    add("helpdesk", "opened", "goodbye", ["no thank you", "no"])
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday"]
    for form in ["DAY", "on DAY", "next DAY", "DAY please", "on DAY please", "next DAY please"] {
      for day in days {
        add("appointment", "ask_day", "ask_time", [form.replacing("DAY", with: day)], word: { _ in day })
      }
    }
    add("appointment", "ask_time", "confirm", ["in the morning", "morning"], word: { _ in "morning" })
    add("appointment", "ask_time", "confirm", ["at noon", "noon"], word: { _ in "noon" })
    add("appointment", "ask_time", "confirm", ["in the afternoon", "afternoon"], word: { _ in "afternoon" })
    add("appointment", "confirm", "book", ["yes", "yes that is right"])
    add("appointment", "confirm", "ask_day", ["no that is wrong", "no"])
    add(
      "echo", "start", "start", ["one", "two", "three", "four", "five", "red", "green", "blue", "yellow"] + days,
      word: { $0 })
    add("echo", "start", "goodbye", ["goodbye"])
    return items
  }()

  /// Short and long, near (`saturday` where a weekday is asked for) and far. One for every phrase, in the same states.
  static let others: [SpokenItem] = {
    var items: [SpokenItem] = []
    func add(_ dialog: String, _ state: String, _ texts: [String]) {
      for text in texts {
        items.append(SpokenItem(number: items.count, dialog: dialog, state: state, text: text, meant: nil))
      }
    }
    add(
      "helpdesk", "menu",
      [
        "what is the weather like tomorrow", "the coffee machine is empty again", "i would like to order a pizza",
        "how much does it cost to fly to london", "my dog ate the homework", "can you tell me a joke",
        "turn on the lights",
        "the elevator has stopped between two floors", "who won the football game last night",
        "the window does not close",
        "my chair squeaks all day long", "never mind", "i am looking for the cafeteria", "what time is it",
        "please play some music", "the meeting has been moved to the second floor", "my car needs new tires",
        "where can i park my bicycle", "happy birthday to you", "the keys are on the kitchen table",
        "he will be back in twenty minutes", "it has been raining since lunch",
      ])
    add(
      "helpdesk", "opened",
      ["maybe another time", "what was that again", "the sun is shining brightly", "i have to think about it"])
    add(
      "appointment", "ask_day",
      [
        "as soon as possible", "saturday", "i do not remember", "sometime in december",
        "what does the doctor say about it",
        "my daughter has a sore throat", "whenever you like", "is there a parking garage nearby",
        "the twenty second of april",
        "could you repeat the question", "how long will it take", "not before christmas", "tomorrow",
        "i will call again later", "do you accept my insurance", "in about two weeks", "let me look at my calendar",
        "it hurts when i bend my knee", "are you a real human being", "the week after easter", "hold on a second",
        "my husband made the reservation", "whatever works best for the doctor", "is it going to be expensive",
        "as early as possible", "i need a prescription", "good evening", "the bus leaves every quarter of an hour",
        "somebody else should decide that", "what is your address",
      ])
    add(
      "appointment", "ask_time",
      [
        "eleven forty five", "which one is cheaper", "it does not matter to me", "late at night", "before breakfast",
        "how should i know",
      ])
    add(
      "appointment", "confirm",
      ["could you say that again", "i am not quite sure", "perhaps", "there is a mistake in my address"])
    add(
      "echo", "start",
      [
        "purple", "sunday", "fifteen", "hello is anybody there", "what am i supposed to say", "this is only a test",
        "december", "a big black dog", "testing the microphone", "how does this thing work", "seventy eight",
        "orange juice",
        "thank you very much", "the quick brown fox", "let us begin",
      ])
    return items
  }()
}
