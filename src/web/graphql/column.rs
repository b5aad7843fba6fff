//! Lists of scalars that are resolved at once. Juniper makes a future for each item of a list, which for the thousands of
//! samples of a recording takes longer than to read them.

use juniper::macros::reflect;
use juniper::marker::IsOutputType;
use juniper::meta::MetaType;
use juniper::{
    ArcStr, BoxFuture, ExecutionResult, Executor, GraphQLType, GraphQLValue, GraphQLValueAsync, Registry, ScalarValue,
    Selection, Value,
};

/// A list `[T]` of items none of which is null.
pub(super) struct Column<T>(pub(super) Vec<T>);

/// The type that it is in the schema.
type Shown<T> = Vec<Option<T>>;

impl<S: ScalarValue, T: Scalar<S>> GraphQLType<S> for Column<T> {
    fn name((): &()) -> Option<ArcStr> {
        None
    }

    fn meta(info: &(), registry: &mut Registry<S>) -> MetaType<S> {
        <Shown<T> as GraphQLType<S>>::meta(info, registry)
    }
}

impl<S: ScalarValue, T: Scalar<S>> GraphQLValue<S> for Column<T> {
    type Context = ();
    type TypeInfo = ();

    fn type_name(&self, (): &()) -> Option<ArcStr> {
        None
    }

    fn resolve(
        &self,
        info: &(),
        _: Option<&[Selection<'_, S>]>,
        executor: &Executor<'_, '_, (), S>,
    ) -> ExecutionResult<S> {
        let items = self.0.iter().map(|item| item.resolve(info, None, executor));
        items.collect::<Result<_, _>>().map(Value::list)
    }
}

impl<S: ScalarValue + Send + Sync, T: Scalar<S>> GraphQLValueAsync<S> for Column<T> {
    fn resolve_async<'a>(
        &'a self,
        info: &'a (),
        selection: Option<&'a [Selection<'_, S>]>,
        executor: &'a Executor<'_, '_, (), S>,
    ) -> BoxFuture<'a, ExecutionResult<S>> {
        Box::pin(std::future::ready(self.resolve(info, selection, executor)))
    }
}

impl<S: ScalarValue, T: Scalar<S>> IsOutputType<S> for Column<T> {}

impl<S: ScalarValue, T: Scalar<S>> reflect::BaseType<S> for Column<T> {
    const NAME: reflect::Type = <Shown<T> as reflect::BaseType<S>>::NAME;
}

impl<S: ScalarValue, T: Scalar<S>> reflect::BaseSubTypes<S> for Column<T> {
    const NAMES: reflect::Types = <Shown<T> as reflect::BaseSubTypes<S>>::NAMES;
}

impl<S: ScalarValue, T: Scalar<S>> reflect::WrappedType<S> for Column<T> {
    const VALUE: reflect::WrappedValue = <Shown<T> as reflect::WrappedType<S>>::VALUE;
}

/// What a column may be of.
pub(super) trait Scalar<S: ScalarValue>:
    GraphQLType<S, TypeInfo = (), Context = ()>
    + reflect::BaseType<S>
    + reflect::BaseSubTypes<S>
    + reflect::WrappedType<S>
    + Send
    + Sync
{
}

impl<S: ScalarValue> Scalar<S> for String {}
impl<S: ScalarValue> Scalar<S> for f64 {}
