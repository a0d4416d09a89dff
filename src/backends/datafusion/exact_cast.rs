//! keyfold's exact cast as a function of DataFusion, whose own casts cut off fractions and print numbers.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as EngineResult, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::error::into_datafusion;
use crate::table::read_as::read_as;

/// `column` as the type of `asked`; the run fails at the first value that does not survive.
pub(super) fn exact_cast(column: Expr, asked: FieldRef) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(ExactCast { asked, signature }).call(vec![column])
}

/// A cast to one type. The field is part of it, so that two casts are equal only if they ask for the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactCast {
    asked: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for ExactCast {
    fn name(&self) -> &'static str {
        "exact_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> EngineResult<DataType> {
        Ok(self.asked.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> EngineResult<FieldRef> {
        Ok(Arc::clone(&self.asked))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let Some(column) = args.args.first() else { return plan_err!("exact_cast takes a column") };
        let values = column.to_array(args.number_rows)?;
        read_as(&values, &self.asked).map(ColumnarValue::Array).map_err(into_datafusion)
    }
}
