import Base
import CallLink
import Dialogs
import Telemetry

/// What the dialog asks of others: the customer's backend, language models. Answers come back as mail.
extension CallSession {
  /// - Parameter askedAtMs: when it was asked first, by the session's wall clock.
  func ask(_ hook: DialogHook, askedAtMs: Int64) {
    var body = hook.body
    if case .map(var members) = body {
      members["timestamp"] = .time(askedAtMs)
      body = .map(members)
    }
    var request = HookRequest(
      session: call.session, tenant: tenant, service: hook.service, url: hook.url, path: hook.path, method: hook.method,
      headers: hook.headers, timeout: hook.timeout, body: body)
    switch hook.kind {
    case .http, .searchKnowledge: break
    case .listTools: request.kind = .listTools
    case .callTool(let name, let arguments): request.kind = .callTool(name: name, arguments: arguments)
    }
    let question = request.traced(by: recorder.trace)
    let integration = context.integration
    let knowledge = context.knowledge
    let mailbox = mailbox
    let task = Task<Void, Never> {
      let outcome: HookOutcome
      switch hook.kind {
      case .searchKnowledge(let query, let documents, let limit):
        outcome =
          await knowledge?.answer(query, documents: documents, limit: limit)
          ?? Knowledge.failure("this gateway has no documents (runtime.knowledge_dir)")
      case .http, .listTools, .callTool: outcome = await integration.perform(question)
      }
      mailbox.put(.hook(hook.token, outcome))
    }
    hooks[hook.token] = RunningHook(request: hook, askedAtMs: askedAtMs, task: task)
  }

  func receive(_ outcome: HookOutcome, of token: HookToken) {
    // A hook that was cancelled meanwhile has no one to answer to.
    guard let hook = hooks.removeValue(forKey: token)?.request else { return }
    var measured = outcome.measured
    measured["service"] = .string(hook.service)
    measured["path"] = .string(hook.path)
    switch outcome {
    case .result(let answer, _, _, _): take(.hookResult(token, answer), adding: measured)
    case .failure(let error, let status, let message, _, _):
      take(.hookError(token, error: error, status: status, message: message), adding: measured)
    }
    closeIfDone()
  }

  /// - Parameter said: what the model has said already, to a process that has died since.
  func ask(_ request: ModelRequest, said: [String] = []) {
    let answer = context.models.answer(
      request.continued(after: said), session: call.session, trace: recorder.trace?.context)
    let mailbox = mailbox
    let task = Task<Void, Never> {
      for await event in answer {
        guard !Task.isCancelled else { return }
        mailbox.put(.model(request.token, event))
      }
    }
    models[request.token] = RunningModel(request: request, said: said, task: task)
  }

  func receive(_ event: ModelEvent, of token: ModelToken) {
    // What a model still says after it was cancelled is of no interest any more.
    guard models[token] != nil else { return }
    switch event {
    case .sentence(let text):
      models[token]?.said.append(text)
      take(.modelSentence(token, text))
    case .toolCall(let call):
      models[token]?.hasCalled = true
      take(.modelToolCall(token, call))
    case .finished(let reason, let tokens):
      models[token] = nil
      take(.modelFinished(token, reason: reason, tokens: tokens))
    case .failed(let error, let message):
      models[token] = nil
      take(.modelFailed(token, error: error, message: message))
    }
  }

  /// Nobody waits for the answers any more.
  func cancelQuestions() {
    for hook in hooks.values { hook.task?.cancel() }
    hooks.removeAll()
    for model in models.values { model.task?.cancel() }
    models.removeAll()
    for start in starts.values { start.task?.cancel() }
    starts.removeAll()
  }
}

extension ModelRequest {
  /// The same question once more, to a model that has said something already: it is to say the rest.
  func continued(after said: [String]) -> ModelRequest {
    guard !said.isEmpty else { return self }
    var request = self
    request.messages += [
      .assistant(said.joined(separator: " "), calls: []),
      .user("(Your answer was cut off after these words. Go on right behind them, and repeat none of them.)"),
    ]
    return request
  }
}
