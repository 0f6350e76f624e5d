import Base
import CallLink
import Dialogs
import Storage

/// The catalog of each tenant. A value, replaced as a whole.
public struct TenantCatalogs: Sendable {
  private let catalogs: [String: DialogCatalog]

  public init(_ catalogs: [String: DialogCatalog]) { self.catalogs = catalogs }

  /// For a gateway that serves nobody but its owner.
  public init(_ catalog: DialogCatalog) { self.init([Tenant.standard: catalog]) }

  public subscript(tenant: String) -> DialogCatalog { catalogs[tenant] ?? DialogCatalog([]) }

  /// Where a call goes: whose it is, and the dialog that answers; without a dialog, nobody does.
  ///
  /// A number that belongs to a tenant reaches the dialog that is written beside it and nothing else. Every other call is the
  /// owner's, by the routing of their dialogs: no tenant can draw calls to itself by what it writes into a dialog.
  func route(_ call: CallInfo, numbers: any NumberRouting) -> CallRoute {
    if let number = numbers.destination(of: call.calledNumber) {
      let catalog = self[number.tenant]
      return CallRoute(tenant: number.tenant, dialog: catalog.dialog(named: number.dialog), catalog: catalog)
    }
    let catalog = self[Tenant.standard]
    return CallRoute(tenant: Tenant.standard, dialog: catalog.route(call), catalog: catalog)
  }
}

/// Where a call goes.
struct CallRoute: Sendable {
  var tenant: String
  var dialog: Dialog?
  /// What the call is pinned to.
  var catalog: DialogCatalog
}

/// No number is anybody's.
public struct NoNumbers: NumberRouting {
  public init() {}
  public func destination(of number: String) -> NumberRecord? { nil }
}
