import Base
import CallLink
import Dialogs

/// What the dialog asks of others: the customer's backend, language models. Answers come back as mail.
extension CallSession {
  func ask(_ hook: DialogHook) {
    var body = hook.body
    if case .map(var members) = body {
      members["timestamp"] = .time(wallMs)
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
    let question = request
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
    hooks[hook.token] = RunningHook(request: hook, task: task)
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

  func ask(_ request: ModelRequest) {
    let answer = context.models.answer(request, session: call.session)
    let mailbox = mailbox
    models[request.token] = Task<Void, Never> {
      for await event in answer {
        guard !Task.isCancelled else { return }
        mailbox.put(.model(request.token, event))
      }
    }
  }

  func receive(_ event: ModelEvent, of token: ModelToken) {
    // What a model still says after it was cancelled is of no interest any more.
    guard models[token] != nil else { return }
    switch event {
    case .sentence(let text): take(.modelSentence(token, text))
    case .toolCall(let call): take(.modelToolCall(token, call))
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
    for hook in hooks.values { hook.task.cancel() }
    hooks.removeAll()
    for model in models.values { model.cancel() }
    models.removeAll()
    for start in starts.values { start.cancel() }
    starts.removeAll()
  }
}
